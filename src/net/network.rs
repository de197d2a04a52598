//! The way to all servers, made when the first of them is asked: a build that asks none makes no threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::net::error::NetError;
use crate::net::http::Client;
use crate::net::outside::Outside;
use crate::net::registry::Registries;
use crate::net::settings::Settings;
use crate::net::traffic::Traffic;

/// Cheap to clone; all clones share what was learned of servers.
#[derive(Clone, Default)]
pub struct Network(Arc<Inner>);

#[derive(Default)]
struct Inner {
    settings: Settings,
    traffic: Traffic,
    made: Mutex<Option<(Client, Arc<Registries>)>>,
}

impl Network {
    pub fn new(settings: Settings) -> Network {
        Network(Arc::new(Inner { settings, ..Inner::default() }))
    }

    pub fn client(&self) -> Result<Client, NetError> {
        Ok(self.made()?.0)
    }

    pub fn registries(&self) -> Result<Arc<Registries>, NetError> {
        Ok(self.made()?.1)
    }

    /// Where commands that are let out may get.
    pub fn outside(&self) -> &Outside {
        &self.0.settings.outside
    }

    /// Folders with authorities of hosts' own.
    pub fn certificates(&self) -> &[PathBuf] {
        &self.0.settings.http.certificates
    }

    /// Of all clones together.
    pub fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    fn made(&self) -> Result<(Client, Arc<Registries>), NetError> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.clone());
        }
        let client = Client::new(self.0.settings.http.clone(), self.0.traffic.clone())?;
        let registries = Arc::new(Registries::new(client.clone(), self.0.settings.clone()));
        Ok(made.insert((client, registries)).clone())
    }
}
