//! Where a debugger connects: `tcp:HOST:PORT` or `unix:PATH`.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The value of `-gdb`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// A TCP port of this host. An empty host is 127.0.0.1: whoever can connect can do anything to the guest. Port 0 is any free one.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Parses `tcp:[HOST]:PORT` and `unix:PATH`, each with the options that such streams have elsewhere (`,server=on,wait=off`).
    pub fn parse(text: &str) -> Result<Address, String> {
        let wrong = |why: &str| Err(format!("-gdb {text}: {why}; write tcp::1234, tcp:HOST:PORT or unix:PATH"));
        let mut parts = text.split(',');
        let place = parts.next().unwrap_or(text);
        for option in parts {
            let (key, value) = option.split_once('=').unwrap_or((option, "on"));
            let fine = match key {
                "server" | "nowait" => value == "on",
                "wait" => value == "off",
                "nodelay" | "ipv4" => matches!(value, "on" | "off"),
                _ => false,
            };
            if !fine {
                return wrong(&format!("'{option}' is not understood: emu listens and does not wait (-S starts stopped)"));
            }
        }
        if let Some(path) = place.strip_prefix("unix:") {
            return if path.is_empty() { wrong("the path is missing") } else { Ok(Address::Unix(path.into())) };
        }
        let Some(rest) = place.strip_prefix("tcp:") else {
            let kind = place.split(':').next().unwrap_or(place);
            return wrong(&match kind {
                "stdio" | "pty" | "chardev" | "udp" | "telnet" => format!("'{kind}' connections are not implemented"),
                _ => format!("there is no such connection as '{place}'"),
            });
        };
        let Some((host, port)) = rest.rsplit_once(':') else { return wrong("the port is missing") };
        match port.parse() {
            Ok(port) => Ok(Address::Tcp(host.trim_matches(['[', ']']).to_owned(), port)),
            Err(_) => wrong(&format!("'{port}' is no port")),
        }
    }
}

impl Address {
    /// What `-g` of QEMU's programs that run programs takes: a port, or the path of a socket, in which `%d` is this process's number. What
    /// `parse` takes is taken too.
    pub fn parse_short(text: &str) -> Result<Address, String> {
        if text.starts_with("tcp:") || text.starts_with("unix:") {
            return Address::parse(text);
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return text
                .parse()
                .map(|port| Address::Tcp(String::new(), port))
                .map_err(|_| format!("-g {text}: '{text}' is no port; write a number to 65535, or the path of a socket"));
        }
        if text.is_empty() {
            Err("-g: write a port or the path of a socket".into())
        } else {
            Ok(Address::Unix(text.replace("%d", &std::process::id().to_string()).into()))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// A socket that listens.
pub struct Listener(Socket);

enum Connected {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection; clones are the same one.
#[derive(Clone)]
pub struct Stream(Arc<Connected>);

impl Listener {
    /// Listens. The error is a sentence.
    pub fn bind(address: &Address) -> Result<Listener, String> {
        let failed = |e: io::Error| match e.kind() {
            ErrorKind::AddrInUse => format!("-gdb {address}: the address is in use by another program; choose another one"),
            _ => format!("-gdb {address}: {e}"),
        };
        match address {
            Address::Tcp(host, port) => {
                let host = if host.is_empty() { "127.0.0.1" } else { host };
                let places: Vec<_> = (host, *port).to_socket_addrs().map_err(failed)?.collect();
                TcpListener::bind(&places[..]).map(|l| Listener(Socket::Tcp(l))).map_err(failed)
            }
            Address::Unix(path) => {
                // A socket that nobody listens at was left by a program that was killed.
                let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
                if is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused) {
                    let _ = std::fs::remove_file(path);
                }
                UnixListener::bind(path).map(|l| Listener(Socket::Unix(l, path.clone()))).map_err(failed)
            }
        }
    }
    /// What a debugger has to be told, as gdb's `target remote` takes it.
    pub fn shown(&self) -> String {
        match &self.0 {
            Socket::Tcp(l) => match l.local_addr() {
                Ok(a) if a.ip().is_loopback() => format!("localhost:{}", a.port()),
                Ok(a) => a.to_string(),
                Err(_) => "?".to_owned(),
            },
            Socket::Unix(_, path) => path.display().to_string(),
        }
    }
    /// The socket's file, if it has one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Socket::Tcp(_) => None,
            Socket::Unix(_, path) => Some(path),
        }
    }
    /// Waits for a debugger.
    pub fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            Socket::Tcp(l) => l.accept().map(|(s, _)| {
                // Packets are small and each waits for its answer.
                let _ = s.set_nodelay(true);
                Stream(Arc::new(Connected::Tcp(s)))
            }),
            Socket::Unix(l, _) => l.accept().map(|(s, _)| Stream(Arc::new(Connected::Unix(s)))),
        }
    }
}

impl Stream {
    /// The same connection by a descriptor of a high number, where a program in this process does not look for its own; as it is if the process
    /// may have no such descriptor.
    #[must_use]
    pub fn moved_up(self) -> Stream {
        // Below usual limits (RLIMIT_NOFILE).
        for least in [1 << 20, 1 << 16, 1 << 12, 1 << 10, 1 << 8].map(|limit| limit - 16) {
            let up = match &*self.0 {
                Connected::Tcp(s) => rustix::io::fcntl_dupfd_cloexec(s, least).map(|fd| Connected::Tcp(fd.into())),
                Connected::Unix(s) => rustix::io::fcntl_dupfd_cloexec(s, least).map(|fd| Connected::Unix(fd.into())),
            };
            if let Ok(up) = up {
                return Stream(Arc::new(up));
            }
        }
        self
    }
    /// The descriptor.
    pub fn descriptor(&self) -> i32 {
        match &*self.0 {
            Connected::Tcp(s) => s.as_raw_fd(),
            Connected::Unix(s) => s.as_raw_fd(),
        }
    }
    /// Ends reads and writes of all clones.
    pub(crate) fn shut(&self) {
        let _ = match &*self.0 {
            Connected::Tcp(s) => s.shutdown(std::net::Shutdown::Both),
            Connected::Unix(s) => s.shutdown(std::net::Shutdown::Both),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        match &*self.0 {
            Connected::Tcp(s) => (&*s).read(data),
            Connected::Unix(s) => (&*s).read(data),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &*self.0 {
            Connected::Tcp(s) => (&*s).write(data),
            Connected::Unix(s) => (&*s).write(data),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |h: &str, p| Ok(Address::Tcp(h.to_owned(), p));
        assert_eq!(Address::parse("tcp::1234"), tcp("", 1234));
        assert_eq!(Address::parse("tcp:localhost:0,server=on,wait=off"), tcp("localhost", 0));
        assert_eq!(Address::parse("tcp:[::1]:1,server,nowait"), tcp("::1", 1));
        assert_eq!(Address::parse("unix:/a:b"), Ok(Address::Unix("/a:b".into())));
        for bad in ["", "1234", "tcp:", "tcp::", "tcp::x", "tcp::65536", "unix:", "stdio", "tcp::1,wait=on", "tcp::1,server=off", "udp::1"] {
            let e = Address::parse(bad).unwrap_err();
            assert!(e.starts_with(&format!("-gdb {bad}: ")) && e.contains("; write tcp::1234"), "{bad}: {e}");
        }
    }

    #[test]
    fn short_addresses() {
        assert_eq!(Address::parse_short("1234"), Ok(Address::Tcp(String::new(), 1234)));
        assert_eq!(Address::parse_short("tcp:h:1"), Ok(Address::Tcp("h".into(), 1)));
        assert_eq!(Address::parse_short("/a/%d"), Ok(Address::Unix(format!("/a/{}", std::process::id()).into())));
        assert!(Address::parse_short("65536").is_err() && Address::parse_short("").is_err());
    }

    #[test]
    fn a_port_and_a_path_are_taken_once() {
        let first = Listener::bind(&Address::Tcp(String::new(), 0)).unwrap();
        let port = first.shown().strip_prefix("localhost:").unwrap().parse().unwrap();
        assert!(Listener::bind(&Address::Tcp(String::new(), port)).err().unwrap().contains("in use"));
        let path = std::env::temp_dir().join(format!("emu-debug-{}", std::process::id()));
        let first = Listener::bind(&Address::Unix(path.clone())).unwrap();
        assert!(Listener::bind(&Address::Unix(path.clone())).err().unwrap().contains("in use"));
        drop(first);
        // Nobody listens any more; the file is still there.
        assert!(path.exists() && Listener::bind(&Address::Unix(path.clone())).is_ok());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(&Address::Unix(path.clone())).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious", "what is no socket stays");
        std::fs::remove_file(&path).unwrap();
    }
}
