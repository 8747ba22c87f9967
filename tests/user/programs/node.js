// Hot loops, files, children, workers, timers, signals.
const fs = require('fs'), cp = require('child_process');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (!isMainThread) {
    let s = 0;
    for (let i = 0; i < 1e6; i++) s = (s * 31 + i + workerData) % 1000003;
    parentPort.postMessage(s);
} else {
    const hot = n => { let s = 0; for (let i = 0; i < n; i++) s = (s + i * i) % 1000003; return s; };
    console.log(hot(3e6));
    const file = process.argv[2] + '/x.txt';
    fs.writeFileSync(file, 'hello');
    console.log(fs.readFileSync(file, 'utf8'));
    console.log(cp.execFileSync(process.execPath, ['-p', '6*7']).toString().trim());
    console.log(cp.spawnSync('/nonexistent/prog').error.code);
    cp.exec('echo sub; exit 3', (e, out) => {
        console.log(out.trim(), e.code);
        process.on('SIGUSR2', () => {
            console.log('usr2');
            const of = n => new Promise(r => new Worker(__filename, { workerData: n }).on('message', r));
            Promise.all([1, 2, 3, 4].map(of)).then(r => { console.log(r.join()); setTimeout(() => console.log('timer'), 50); });
        });
        const ends = setInterval(() => {}, 1000);
        setTimeout(() => clearInterval(ends), 500);
        process.kill(process.pid, 'SIGUSR2');
    });
}
