//! Ctrl-C: the first one asks commands to end, the second one kills them.

use std::sync::OnceLock;

use crate::base::cancel::Cancel;

static CANCEL: OnceLock<Cancel> = OnceLock::new();

/// The flag that SIGINT and SIGTERM raise from now on.
pub(super) fn cancel() -> Cancel {
    let cancel = CANCEL.get_or_init(Cancel::default).clone();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler = raise as extern "C" fn(libc::c_int);
        // SAFETY: the handler only touches an atomic, which is async-signal-safe.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    cancel
}

extern "C" fn raise(_signal: libc::c_int) {
    if let Some(cancel) = CANCEL.get() {
        cancel.raise();
    }
}
