//! What a process gives up before it decodes a stranger's bitstream: files, network, other processes, and memory without end.
//!
//! Where the kernel has no seccomp, or the processor is one that the filter is not written for, the limits alone hold, and the caller
//! is told so.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Address space. A decoder of 4K needs some 100 MB; a full stage of cameras less than 1 GB. Another one is reserved, not used, by the
/// allocator of Rust's own data (docs/decisions/0013).
const MEMORY_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// What could not be given up, in words.
#[derive(Debug, thiserror::Error)]
#[error("what decodes runs without a system call filter: {0}")]
pub struct Unfiltered(String);

/// What may be open where nothing is handed over: descriptors 0 to 2 and the socket's.
pub const FILES: u64 = 8;
/// … and where pipes are handed over (`compose/ffmpeg.rs`): two for each size of a ladder and of the one that follows it.
pub const FILES_WITH_PIPES: u64 = 40;

/// Gives it up for good. What is open stays open; nothing can be opened, but up to `files` be handed over by the server.
pub fn enter(files: u64) -> io::Result<Result<(), Unfiltered>> {
    for (resource, most) in [
        (Resource::As, MEMORY_MAX),
        (Resource::Core, 0),
        (Resource::Nofile, files),
        (Resource::Nproc, 0),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(filter())
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn filter() -> Result<(), Unfiltered> {
    use std::collections::BTreeMap;

    use rustix::io::Errno;
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

    let arch = if cfg!(target_arch = "x86_64") {
        TargetArch::x86_64
    } else {
        TargetArch::aarch64
    };
    let rules: BTreeMap<i64, Vec<_>> = ALLOWED.iter().map(|number| (*number, Vec::new())).collect();
    let refused = |error: &dyn std::fmt::Display| Unfiltered(error.to_string());
    // Refused rather than killed: the C library asks for some things only to do without them.
    let denied = SeccompAction::Errno(Errno::PERM.raw_os_error().unsigned_abs());
    let filter = SeccompFilter::new(rules, denied, SeccompAction::Allow, arch)
        .map_err(|error| refused(&error))?;
    let program: BpfProgram = filter.try_into().map_err(|error| {
        let error: seccompiler::BackendError = error;
        refused(&error)
    })?;
    seccompiler::apply_filter(&program).map_err(|error| refused(&error))
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn filter() -> Result<(), Unfiltered> {
    Err(Unfiltered("there is none for this system".to_owned()))
}

/// Memory, time, waiting, and reading and writing what is open already. No `open`, no `socket`, no `connect`, no `execve`, no `fork`.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_close,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getrusage,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use std::fs::{self, File};
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use super::*;

    /// Limits are of a whole process, so it is another one: this test once more, where this is set.
    const SHUT_IN: &str = "AMPHI_TEST_SHUT_IN";

    #[test]
    fn what_is_shut_in_can_open_nothing_and_start_nothing_and_still_do_its_work() {
        if std::env::var_os(SHUT_IN).is_some() {
            return inside();
        }
        let tests = std::env::current_exe().expect("this is a program");
        let own = std::thread::current()
            .name()
            .expect("that of the test")
            .to_owned();
        let ran = Command::new(tests)
            .args(["--exact", &own, "--nocapture"])
            .env(SHUT_IN, "")
            .output()
            .expect("it was started before");
        let said = [ran.stdout, ran.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(ran.status.success(), "{said}");
        assert!(said.contains("1 passed"), "it was run: {said}");
    }

    #[track_caller]
    fn is_refused<T>(what: &str, tried: io::Result<T>) {
        let error = tried.err().unwrap_or_else(|| panic!("{what} is allowed"));
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}");
    }

    fn inside() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("sockets");
        let unconnected = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let somewhere = unconnected.local_addr().expect("an address");
        enter(FILES)
            .expect("limits")
            .expect("tests want a kernel with seccomp");

        is_refused("reading a file", File::open("/etc/hostname"));
        is_refused("making a file", File::create("/tmp/amphi-shut-in"));
        is_refused("reading a folder", fs::read_dir("/"));
        is_refused("asking for a file", fs::metadata("/"));
        is_refused("removing a file", fs::remove_file("/tmp/amphi-shut-in"));
        is_refused("a socket", UdpSocket::bind("127.0.0.1:0"));
        is_refused("listening", TcpListener::bind("127.0.0.1:0"));
        is_refused("a connection", TcpStream::connect(somewhere));
        is_refused("a pair of sockets", UnixStream::pair());
        is_refused("connecting a socket", unconnected.connect(somewhere));
        is_refused("one more file", ours.as_fd().try_clone_to_owned());
        is_refused("another program", Command::new("/bin/true").spawn());
        is_refused("a thread", std::thread::Builder::new().spawn(|| ()));
        let back = Rlimit {
            current: None,
            maximum: None,
        };
        let raised = setrlimit(Resource::Nofile, back);
        is_refused("higher limits", raised.map_err(io::Error::from));
        let beyond = usize::try_from(MEMORY_MAX).expect("a large machine");
        let taken = Vec::<u8>::new().try_reserve_exact(beyond);
        assert!(taken.is_err(), "memory without end");

        ours.write_all(b"a picture").expect("its socket is its own");
        let mut heard = [0; 9];
        theirs
            .read_exact(&mut heard)
            .expect("its socket is its own");
        assert_eq!(&heard, b"a picture");
        let canvas = vec![7u8; 64 * 1024 * 1024];
        assert_eq!(
            canvas.iter().map(|byte| u64::from(*byte)).sum::<u64>() % 7,
            0
        );
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
