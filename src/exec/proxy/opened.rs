//! What a run with `network intercept` has beside others: an authority that it believes, so that its TLS ends here and
//! is seen, and begins anew to the real server, which must prove who it is.

use std::sync::OnceLock;

use crate::exec::proxy::pins::Pins;
use crate::graph::op::Pin;
use crate::net::tls::{Authority, TlsError, Trust};
use crate::store::memo::Memo;

pub(crate) struct Opened {
    pub authority: Authority,
    /// Where the content of answers is kept.
    pub memo: Memo,
    /// What the lock file holds.
    pub(super) pins: Pins,
    trust: OnceLock<Trust>,
}

impl Opened {
    pub(crate) fn new(memo: &Memo, pins: &[Pin]) -> Result<Opened, TlsError> {
        let (authority, memo) = (Authority::new()?, memo.clone());
        Ok(Opened { authority, memo, pins: Pins::new(pins), trust: OnceLock::new() })
    }

    /// Read when the first server is asked.
    pub(super) fn trust(&self) -> Result<&Trust, TlsError> {
        if let Some(trust) = self.trust.get() {
            return Ok(trust);
        }
        let trust = Trust::system()?;
        Ok(self.trust.get_or_init(|| trust))
    }
}
