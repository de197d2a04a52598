//! What a run with `network intercept` has beside others: an authority that it believes, so that its TLS ends here and
//! is seen, and begins anew to the real server, which must prove who it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::exec::proxy::pins::Pins;
use crate::exec::proxy::server::Place;
use crate::graph::op::Pin;
use crate::net::tls::{Authority, TlsError, Trust};
use crate::store::memo::Memo;

pub(crate) struct Opened {
    pub authority: Authority,
    /// Where the content of answers is kept.
    pub memo: Memo,
    /// What the lock file holds.
    pub(super) pins: Pins,
    /// Folders with authorities of hosts' own.
    certificates: Vec<PathBuf>,
    /// Whom those believe that asked a host.
    trusts: Mutex<BTreeMap<String, Trust>>,
}

impl Opened {
    pub(crate) fn new(memo: &Memo, pins: &[Pin], certificates: &[PathBuf]) -> Result<Opened, TlsError> {
        Ok(Opened {
            authority: Authority::new()?,
            memo: memo.clone(),
            pins: Pins::new(pins),
            certificates: certificates.to_owned(),
            trusts: Mutex::default(),
        })
    }

    /// Whom to believe that it is the server of that place. Read when it is asked first.
    pub(super) fn trust(&self, place: &Place) -> Result<Trust, TlsError> {
        let host = place.authority();
        let mut trusts = self.trusts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trust) = trusts.get(&host) {
            return Ok(trust.clone());
        }
        let trust = Trust::of(&self.certificates, &host)?;
        Ok(trusts.entry(host).or_insert(trust).clone())
    }
}
