//! Forking: parent and child each go on with all of core in order.
//!
//! The calling thread holds every lock of core while the process forks, so that the child has none that a thread left behind which it does
//! not have. Generated code is in shared memory: the child runs what is there, and moves to memory of its own before it makes more.

use super::User;
use crate::machine::{Machine, lock};
use crate::vcpu::Vcpu;

impl User {
    /// Forks. 0 in the child; else its process id, or an error number, negative.
    pub fn fork(&self, machine: &Machine, by: &Vcpu) -> i64 {
        let turn = lock(&self.changing);
        let mut idle = lock(&self.idle);
        let mut native = machine.native.as_ref().map(|n| n.hold());
        let code = machine.code.hold();
        let requests: Vec<_> = machine.cpus.iter().map(|c| c.hold()).collect();
        let error = std::io::stderr().lock();
        // SAFETY: the child has this thread only, and goes on with what it holds here.
        let pid = unsafe { libc::fork() };
        drop((error, requests, code));
        if let Some(n) = &mut native {
            n.forked(pid == 0);
        }
        drop(native);
        if pid == 0 {
            idle.clear();
            for cpu in machine.cpus.iter().filter(|c| c.index != by.index) {
                cpu.abandon();
                idle.push(cpu.index);
            }
        }
        drop((idle, turn));
        match pid {
            -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN)),
            pid => pid.into(),
        }
    }
}
