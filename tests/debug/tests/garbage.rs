//! What no debugger sends: the connection may end, emu does not.

use emu_test_debug::guest::{GO_ON, WENT_ON, guest};
use emu_test_debug::{Debuggee, LIMIT, show, values};
use emu_test_kit::Rng;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn packet(body: &[u8]) -> Vec<u8> {
    let sum = body.iter().fold(0u8, |s, b| s.wrapping_add(*b));
    let mut out = vec![b'$'];
    out.extend(body);
    out.extend(format!("#{sum:02x}").into_bytes());
    out
}

/// Packets that mean something, to be bent.
#[rustfmt::skip]
const KNOWN: &[&str] = &[
    "?", "g", "G00", "p1f", "p20", "pffffffffffffffff", "P1f=0011223344556677", "P1f=00", "P999=00", "m40200000,40", "m0,ffffffffffffffff",
    "mffffffffffffffff,10", "M40800000,4:01020304", "M40800000,ffff:01", "Z0,40201000,4", "z0,40201000,4", "Z1,0,4", "Z2,40800000,0", "Z3,40800000,8",
    "Z4,ffffffffffffffff,ffffffffffffffff", "z4,1,1", "Z9,1,1", "Hg0", "Hgp1.1", "Hg99", "Hc-1", "vCont?", "vCont;c", "vCont;s", "vCont;s:1;c", "vCont;s:p1.9;c",
    "vCont;r40200000,40200100:1", "vCont;", "s", "c", "T1", "T77", "qSupported:multiprocess+;swbreak+", "qfThreadInfo", "qsThreadInfo", "qC",
    "qXfer:features:read:target.xml:0,100", "qXfer:features:read:target.xml:ffffffffffffffff,ffff", "qXfer:features:read:other:0,10",
    "qRcmd,68656c70", "qRcmd,ff", "qThreadExtraInfo,1", "qThreadExtraInfo,63", "qAttached", "vMustReplyEmpty", "X40800000,0:", "!", "R00", "",
];

#[test]
fn garbage_does_not_end_emu() {
    let mut rng = Rng::announced("garbage_does_not_end_emu");
    let g = guest(2);
    let mut emu = Debuggee::start("garbage", &g.image, &["-smp", "2"]);
    for _ in 0..60 {
        let mut stream = UnixStream::connect(emu.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        for _ in 0..rng.below(30) {
            let mut body = rng.pick(KNOWN).as_bytes().to_vec();
            if rng.one_in(3) && !body.is_empty() {
                let at = rng.below(body.len() as u64) as usize;
                match rng.below(3) {
                    0 => body[at] = rng.u32() as u8,
                    1 => body.truncate(at),
                    _ => body.insert(at, b"0123456789abcdef,;:-=."[rng.below(22) as usize]),
                }
            }
            // These would end emu, or change the guest, rightly.
            if !KNOWN.contains(&&*String::from_utf8_lossy(&body)) && (body.starts_with(b"vK") || body.first().is_some_and(|b| b"kMGXP".contains(b))) {
                continue;
            }
            let bytes = match rng.below(20) {
                0 => (0..rng.below(300)).map(|_| rng.u32() as u8).collect(),
                1 => vec![3],
                2 => vec![b'z'; 40_000],
                _ => packet(&body),
            };
            if stream.write_all(&bytes).is_err() {
                break;
            }
            let _ = stream.read(&mut [0; 1 << 16]);
            let _ = stream.write_all(b"+");
        }
    }
    // It is as good as before.
    let out = emu.debug(&[
        &format!("set *(int*){GO_ON:#x} = 0"),
        &g.to("break", "spin"),
        &format!("set $pc={:#x}", g.at("registers")),
        "continue",
        &show("pc", "$pc"),
        &format!("set *(int*){GO_ON:#x} = 1"),
    ]);
    assert_eq!(values(&out, "pc"), [format!("{:#x}", g.at("spin"))]);
    emu.console.expect(WENT_ON, LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(emu.console.wait(LIMIT).code, Some(0));
}
