//! How other machines are reached: what the user and the workspace say, as values. Nothing here reads the environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::net::credentials::Places;
use crate::net::http;
use crate::net::outside::Outside;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    pub http: http::Settings,
    /// What stands for a registry, by the registry's host; asked in order, before the registry itself.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// `host[:port]` of registries that speak plain HTTP.
    pub plain_http: BTreeSet<String>,
    pub credentials: Places,
    /// Where commands that are let out may get.
    pub outside: Outside,
}

/// Is read from, and never written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// `host[:port]`, and what stands before each repository there: `host/prefix`.
    pub host: String,
    /// Asked over plain HTTP.
    pub insecure: bool,
}
