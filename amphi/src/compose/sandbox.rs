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
