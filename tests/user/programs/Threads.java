// Threads, locks, garbage, exceptions that the machine makes of faults, a child process.
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

public class Threads {
    static int plain;

    static int deeper(int n) {
        return deeper(n + 1) + 1;
    }

    public static void main(String[] words) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        AtomicLong sum = new AtomicLong();
        Object lock = new Object();
        CountDownLatch done = new CountDownLatch(64);
        for (int i = 0; i < 64; i++) {
            final int n = i;
            pool.submit(() -> {
                long s = 0;
                for (int k = 0; k < 100000; k++) {
                    s += k % (n + 1);
                    if (k % 100 == 0) synchronized (lock) { plain++; }
                }
                sum.addAndGet(s);
                done.countDown();
            });
        }
        done.await();
        pool.shutdown();
        System.out.println(sum.get() + " " + plain);
        for (int i = 0; i < 30; i++) {
            byte[][] garbage = new byte[1000][];
            for (int k = 0; k < 1000; k++) garbage[k] = new byte[1000];
        }
        System.gc();
        String nothing = null;
        try { nothing.length(); } catch (NullPointerException e) { System.out.println("null"); }
        try { deeper(0); } catch (StackOverflowError e) { System.out.println("deep"); }
        Process p = new ProcessBuilder("/bin/echo", "child").redirectErrorStream(true).start();
        System.out.print(new String(p.getInputStream().readAllBytes()));
        System.out.println(p.waitFor() + " " + System.getProperty("os.arch"));
    }
}
