//! Opens one file: first the plain symbol `emu_plugin_abi`, whose words say whether the rest can be understood, then the root module.
#![allow(unsafe_code)] // dlopen and the call of a foreign symbol.

#[cfg(feature = "dlopen")]
use crate::guard::Guard;
use emu_plugins_api::{HostServices, OpenedPlugin};
#[cfg(feature = "dlopen")]
use emu_plugins_api::{Requirements, check_words, open};
use std::path::Path;

/// Whether this build opens files at all.
pub(crate) const CAN_LOAD: bool = cfg!(feature = "dlopen");

/// Why a file was refused: a sentence that begins with the file's name, and everything else that is known.
pub(crate) struct Refused {
    pub sentence: String,
    pub detail: String,
}

/// In a build without a loader, nothing is opened.
#[cfg(not(feature = "dlopen"))]
pub(crate) fn load(path: &Path, _: &'static HostServices, _: log::LevelFilter) -> Result<OpenedPlugin, Refused> {
    let sentence = format!("{} cannot be loaded: this emu loads no plugins", path.display());
    Err(Refused { detail: sentence.clone(), sentence })
}

/// Opens the plugin at an absolute path. Never unloads it, not even when it is refused: what its constructors left behind may be in use.
#[cfg(feature = "dlopen")]
pub(crate) fn load(path: &Path, services: &'static HostServices, level: log::LevelFilter) -> Result<OpenedPlugin, Refused> {
    let refuse = |sentence: String, detail: String| Refused { sentence: format!("{} {sentence}", path.display()), detail };
    match std::fs::File::open(path) {
        Ok(mut file) => {
            if let Err(reason) = crate::elf::check(&mut file) {
                return Err(refuse(format!("is not a library that this system can load ({reason}); remove it from the plugin path"), reason.into()));
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(refuse("does not exist; correct the plugin path".into(), e.to_string())),
        Err(e) => return Err(refuse(format!("cannot be read ({e}); correct its permissions or the plugin path"), e.to_string())),
    }
    let _guard = Guard::new(path);
    // SAFETY: initialisers of the library run; whoever puts a file on the plugin path asks for that, as with any plugin.
    let library = match unsafe { libloading::Library::new(path) } {
        Ok(library) => library,
        Err(e) => {
            let detail = e.to_string();
            let reason = std::error::Error::source(&e).map_or_else(|| detail.clone(), ToString::to_string);
            // The loader's own text repeats the path.
            let reason = reason.rsplit_once(&format!("{}: ", path.display())).map_or(reason.as_str(), |(_, r)| r).to_owned();
            // A library that it needs: "libfoo.so: cannot open shared object file: ...".
            let fix = match reason.split_once(": cannot open shared object file") {
                Some((needed, _)) => format!(
                    "is not a library that this system can load (it needs {needed}, which is not there); install that or remove it from the plugin path"
                ),
                None => format!("is not a library that this system can load ({reason}); remove it from the plugin path"),
            };
            return Err(refuse(fix, detail));
        }
    };
    let words = {
        // SAFETY: the symbol has this type in every library that exports it; the magic word in what it returns confirms that.
        match unsafe { library.get::<extern "C" fn() -> Requirements>(b"emu_plugin_abi\0") } {
            Ok(abi) => abi(),
            Err(e) => {
                std::mem::forget(library);
                return Err(refuse("is not an emu plugin (it has no emu_plugin_abi); remove it from the plugin path".into(), e.to_string()));
            }
        }
    };
    // SAFETY: as above; the magic word belongs to the same library.
    let table_bytes = unsafe { library.get::<extern "C" fn() -> usize>(b"emu_plugin_target_table_bytes\0") }.ok().map(|bytes| *bytes);
    std::mem::forget(library);
    check_words(&words).map_err(|sentence| refuse(sentence, format!("{words:?}")))?;
    open(path, services, level, table_bytes.map(|bytes| bytes())).map_err(|e| refuse(e.sentence, e.detail))
}
