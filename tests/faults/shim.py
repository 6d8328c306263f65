"""Errors of the system beneath Python: a small library before libc, which numpy, HDF5 and others
meet too.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The child of a trial sets these; -1 is no fault. */
int fault_at = -1, fault_errno = 0, fault_seen = 0;
char fault_root[4096] = "";

static int hit(int fd) {
    char link[64], name[4096];
    if (!fault_root[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    if (n < 0) return 0;
    name[n] = 0;
    if (strncmp(name, fault_root, strlen(fault_root))) return 0;
    return __atomic_fetch_add(&fault_seen, 1, __ATOMIC_SEQ_CST) == fault_at;
}

#define WRAP(name, type, given, passed) \
    type name given { \
        static type (*real) given; \
        if (!real) real = dlsym(RTLD_NEXT, #name); \
        if (hit(fd)) { errno = fault_errno; return -1; } \
        return real passed; \
    }

WRAP(write, ssize_t, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(pwrite, ssize_t, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(pwrite64, ssize_t, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(fsync, int, (int fd), (fd))
WRAP(fdatasync, int, (int fd), (fd))
WRAP(ftruncate, int, (int fd, off_t size), (fd, size))
WRAP(ftruncate64, int, (int fd, off_t size), (fd, size))
"""


def build(folder: Path) -> Path | None:
    """Compile it; None where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library
