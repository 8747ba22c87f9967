//! CPython's own regression tests (`python3 -m test`), of Debian's arm64 package. A few modules always, all of the list with EMU_USER_FULL=1.

use emu_test_user::{full, root, suites};

/// Always.
const SHORT: &[&str] =
    &["test_mmap", "test_ctypes", "test_select", "test_epoll", "test_poll", "test_thread", "test_fork1", "test_struct", "test_wait4"];

/// What a long run has besides. (Debian's package has no test_sqlite3.)
#[rustfmt::skip]
const LONG: &[&str] = &[
    "test_threading", "test_subprocess", "test_signal", "test_socket", "test_os", "test_time", "test_wait3", "test_posix", "test_pty", "test_popen",
    "test_queue", "test_threadsignals", "test_threading_local", "test_selectors", "test_resource", "test_fcntl", "test_ioctl", "test_eintr",
    "test_faulthandler", "test_array", "test_math", "test_float", "test_long", "test_int", "test_complex", "test_cmath", "test_json", "test_re",
    "test_hashlib", "test_zlib", "test_bz2", "test_lzma", "test_gzip", "test_tarfile", "test_zipfile", "test_pickle", "test_copy", "test_list",
    "test_dict", "test_set", "test_tuple", "test_bytes", "test_string", "test_codecs", "test_io", "test_file", "test_tempfile", "test_shutil",
    "test_pathlib", "test_glob", "test_grp", "test_pwd", "test_random", "test_statistics", "test_fractions", "test_itertools", "test_functools",
    "test_collections", "test_heapq", "test_bisect", "test_generators", "test_coroutines", "test_exceptions", "test_gc", "test_weakref", "test_sys",
    "test_platform", "test_datetime", "test_locale", "test_posixpath", "test_stat", "test_ssl", "test_httplib", "test_contextlib", "test_enum",
    "test_ast", "test_compile", "test_grammar", "test_builtin", "test_memoryview", "test_buffer", "test_asyncio", "test_multiprocessing_fork",
    "test_concurrent_futures", "test_decimal", "test_dbm", "test_unicode",
];

/// Single tests that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("test_leak_fast_process_del_killed", "gives a killed child 0.2 s to be gone, which a busy host does not"),
    ("test_timerfd_TFD_TIMER_ABSTIME", "has 0.5 ms between two calls, which a busy host may take"),
];

#[test]
fn cpythons_regression_tests() {
    let modules = SHORT.iter().chain(LONG.iter().filter(|_| full()));
    suites::cpythons_tests(&root("user-python").unwrap(), "aarch64", modules, LEFT_OUT);
}
