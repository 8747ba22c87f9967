//! The Power State Coordination Interface 1.1 (Arm DEN 0022) and the discovery calls of the SMC Calling Convention (Arm DEN 0028), as a board
//! without firmware of its own answers them.

use emu_plugins_api::{Host, Power, SystemEvent};

/// Function identifiers. Bit 30 set: the 64-bit form.
pub mod function {
    /// SMCCC_VERSION.
    pub const SMCCC_VERSION: u32 = 0x8000_0000;
    /// SMCCC_ARCH_FEATURES.
    pub const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
    /// PSCI_VERSION.
    pub const PSCI_VERSION: u32 = 0x8400_0000;
    /// CPU_SUSPEND.
    pub const CPU_SUSPEND: u32 = 0x8400_0001;
    /// CPU_OFF.
    pub const CPU_OFF: u32 = 0x8400_0002;
    /// CPU_ON.
    pub const CPU_ON: u32 = 0x8400_0003;
    /// AFFINITY_INFO.
    pub const AFFINITY_INFO: u32 = 0x8400_0004;
    /// MIGRATE_INFO_TYPE.
    pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    /// SYSTEM_OFF.
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    /// SYSTEM_RESET.
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    /// PSCI_FEATURES.
    pub const PSCI_FEATURES: u32 = 0x8400_000a;
    /// SYSTEM_RESET2.
    pub const SYSTEM_RESET2: u32 = 0x8400_0012;
    /// The bit of the 64-bit form.
    pub const SMC64: u32 = 1 << 30;
}

/// Return values.
pub mod status {
    /// SUCCESS.
    pub const SUCCESS: i64 = 0;
    /// NOT_SUPPORTED.
    pub const NOT_SUPPORTED: i64 = -1;
    /// INVALID_PARAMETERS.
    pub const INVALID_PARAMETERS: i64 = -2;
    /// ALREADY_ON.
    pub const ALREADY_ON: i64 = -4;
}

/// PSCI 1.1.
const VERSION: i64 = 0x1_0001;
/// SMC Calling Convention 1.1.
const SMCCC: i64 = 0x1_0001;
/// MIGRATE_INFO_TYPE: no Trusted OS that would have to migrate.
const NO_TRUSTED_OS: i64 = 2;
/// Bits of CPU_SUSPEND's power_state that are reserved in the original format.
const POWER_STATE_RESERVED: u64 = 0xfcfe_0000;

/// The interface of a machine.
pub struct Psci {
    host: Host,
    /// Affinity (as in MPIDR_EL1) of each CPU.
    affinity: Vec<u64>,
    /// Called with a CPU that is about to be turned on.
    before_on: Box<dyn Fn(u32) + Send + Sync>,
}

impl Psci {
    /// The interface of a machine whose CPUs have these affinities.
    pub fn new(host: Host, affinity: Vec<u64>, before_on: impl Fn(u32) + Send + Sync + 'static) -> Psci {
        Psci { host, affinity, before_on: Box::new(before_on) }
    }
    fn cpu(&self, affinity: u64) -> Option<u32> {
        self.affinity.iter().position(|a| *a == affinity).map(|i| i as u32)
    }
    /// A call of CPU `cpu`: the function in `args[0]`, parameters behind it; the result in `args[0]`. CPU_OFF and SYSTEM_* take effect when
    /// the host looks again; they do not return to the guest.
    pub fn call(&self, cpu: u32, args: &mut [u64; 8]) -> bool {
        use function::*;
        let id = args[0] as u32;
        let wide = id & SMC64 != 0;
        let param = |i: usize| if wide { args[i] } else { args[i] & 0xffff_ffff };
        let result = match id & !SMC64 {
            _ if !exists(id) => status::NOT_SUPPORTED,
            SMCCC_VERSION => SMCCC,
            SMCCC_ARCH_FEATURES => match args[1] as u32 {
                SMCCC_VERSION | SMCCC_ARCH_FEATURES => status::SUCCESS,
                _ => status::NOT_SUPPORTED,
            },
            PSCI_VERSION => VERSION,
            PSCI_FEATURES => {
                let asked = args[1] as u32;
                // Of the SMC Calling Convention only its version is discovered here (DEN 0028, 7.2).
                let listed = exists(asked) && asked != SMCCC_ARCH_FEATURES;
                if listed { status::SUCCESS } else { status::NOT_SUPPORTED }
            }
            // A suspension may end at once: every state is a standby with a wake-up pending.
            CPU_SUSPEND if param(1) & POWER_STATE_RESERVED != 0 => status::INVALID_PARAMETERS,
            CPU_SUSPEND => status::SUCCESS,
            CPU_OFF => {
                self.host.cpu_power(cpu, Power::OFF, 0, 0);
                status::SUCCESS
            }
            CPU_ON => match self.cpu(param(1)) {
                None => status::INVALID_PARAMETERS,
                Some(target) => self.turn_on(target, param(2), param(3)),
            },
            AFFINITY_INFO => match (self.cpu(param(1)), param(2)) {
                (Some(target), 0) => match self.host.cpu_power(target, Power::QUERY, 0, 0) {
                    Power::ON => 0,
                    _ => 1,
                },
                // Everything above a CPU is on.
                (_, 1..=3) => 0,
                _ => status::INVALID_PARAMETERS,
            },
            MIGRATE_INFO_TYPE => NO_TRUSTED_OS,
            SYSTEM_OFF => {
                self.host.system_event(SystemEvent::POWER_OFF, 0);
                status::SUCCESS
            }
            SYSTEM_RESET => {
                self.host.system_event(SystemEvent::RESET, 0);
                status::SUCCESS
            }
            // Only the architectural warm reset; here it is the same as a cold one.
            SYSTEM_RESET2 if param(1) as u32 == 0 => {
                self.host.system_event(SystemEvent::RESET, 0);
                status::SUCCESS
            }
            SYSTEM_RESET2 => status::INVALID_PARAMETERS,
            _ => status::NOT_SUPPORTED,
        };
        args[0] = result as u64;
        true
    }
    fn turn_on(&self, target: u32, entry: u64, context: u64) -> i64 {
        if self.host.cpu_power(target, Power::QUERY, 0, 0) == Power::OFF {
            (self.before_on)(target);
        }
        match self.host.cpu_power(target, Power::ON, entry, context) {
            Power::OFF => status::SUCCESS,
            Power::ON => status::ALREADY_ON,
            _ => status::INVALID_PARAMETERS,
        }
    }
}

/// Whether a function is implemented in the form that its identifier asks for.
fn exists(id: u32) -> bool {
    use function::*;
    let both = [CPU_SUSPEND, CPU_ON, AFFINITY_INFO, SYSTEM_RESET2];
    let narrow = [SMCCC_VERSION, SMCCC_ARCH_FEATURES, PSCI_VERSION, CPU_OFF, MIGRATE_INFO_TYPE, SYSTEM_OFF, SYSTEM_RESET, PSCI_FEATURES];
    both.contains(&(id & !SMC64)) || narrow.contains(&id)
}

#[cfg(test)]
mod tests {
    use super::function::*;
    use super::*;
    use emu_machine_devices::mock::MockHost;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn powers_cpus_and_the_system() {
        let (mock, host) = MockHost::new(3);
        let hooked = Arc::new(AtomicU32::new(0));
        let seen = hooked.clone();
        let psci = Psci::new(host, vec![0, 1, 0x100], move |cpu| {
            seen.fetch_or(1 << cpu, Ordering::Relaxed);
        });
        host.cpu_power(0, Power::ON, 0, 0);
        let call = |cpu, id: u32, a: u64, b: u64, c: u64| {
            let mut args = [id.into(), a, b, c, 0, 0, 0, 0];
            assert!(psci.call(cpu, &mut args));
            args[0] as i64
        };
        assert_eq!(call(0, PSCI_VERSION, 0, 0, 0), 0x1_0001);
        assert_eq!(call(0, CPU_ON | SMC64, 0x100, 0x4000_0000, 0x1234_5678_9abc), 0);
        assert_eq!(mock.records().on[&2], (0x4000_0000, 0x1234_5678_9abc));
        assert_eq!(hooked.load(Ordering::Relaxed), 4);
        assert_eq!(call(0, CPU_ON | SMC64, 0x100, 0, 0), -4);
        assert_eq!(call(0, CPU_ON | SMC64, 2, 0, 0), -2);
        assert_eq!(call(0, AFFINITY_INFO | SMC64, 1, 0, 0), 1);
        assert_eq!(call(0, CPU_ON, 0xffff_0000_0000_0001, 0x1_0000_1000, 0), 0, "32-bit parameters");
        assert_eq!(mock.records().on[&1], (0x1000, 0));
        assert_eq!(call(0, AFFINITY_INFO | SMC64, 1, 0, 0), 0);
        assert_eq!((call(0, AFFINITY_INFO, 7, 0, 0), call(0, AFFINITY_INFO, 7, 1, 0), call(0, AFFINITY_INFO, 0, 9, 0)), (-2, 0, -2));
        call(1, CPU_OFF, 0, 0, 0);
        assert!(!mock.records().on.contains_key(&1));
        assert_eq!((call(0, CPU_SUSPEND, 0x1_0000, 0, 0), call(0, CPU_SUSPEND, 1 << 31, 0, 0)), (0, -2));
        assert_eq!(call(0, MIGRATE_INFO_TYPE, 0, 0, 0), 2);
        call(0, SYSTEM_OFF, 0, 0, 0);
        call(0, SYSTEM_RESET, 0, 0, 0);
        assert_eq!(call(0, SYSTEM_RESET2 | SMC64, 0x8000_0000, 0, 0), -2);
        assert_eq!(mock.records().events, [(SystemEvent::POWER_OFF, 0), (SystemEvent::RESET, 0)]);
    }

    #[test]
    fn tells_what_exists() {
        let (_, host) = MockHost::new(1);
        let psci = Psci::new(host, vec![0], |_| ());
        let feature = |id: u32| {
            let mut args = [PSCI_FEATURES.into(), id.into(), 0, 0, 0, 0, 0, 0];
            psci.call(0, &mut args);
            args[0] as i64
        };
        for id in [CPU_ON, CPU_ON | SMC64, CPU_SUSPEND | SMC64, SYSTEM_RESET2 | SMC64, SYSTEM_OFF, SMCCC_VERSION, PSCI_FEATURES] {
            assert_eq!(feature(id), 0, "{id:#x}");
        }
        for id in [CPU_OFF | SMC64, 0x8400_0005, 0x8400_000e, 0xc400_0011, 0x8400_0050] {
            assert_eq!(feature(id), -1, "{id:#x}");
        }
        // The random number interface, hypervisor services, and what is no call at all.
        for id in [0x8400_0050u32, 0x8600_ff01, 0, 0xffff_ffff, 0x8000_8000] {
            let mut args = [id.into(), 1, 2, 3, 4, 5, 6, 7];
            assert!(psci.call(0, &mut args));
            assert_eq!((args[0], &args[1..]), (u64::MAX, &[1, 2, 3, 4, 5, 6, 7][..]), "{id:#x}");
        }
    }
}
