//! What a build did, node by node. `--report` writes it as JSON: a stable interface, versioned by
//! `version`; fields are only added within one version.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::store::record::Lost;
use crate::store::traffic::Traffic;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Of this format: 1.
    pub version: u32,
    /// In order of the graph.
    pub nodes: Vec<NodeReport>,
    pub totals: Totals,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeReport {
    pub name: String,
    pub kind: String,
    pub outcome: Outcome,
    /// Action key in hexadecimal; `null` where the inputs never became known.
    pub key: Option<String>,
    /// Which key found it: `action`, or `content` for sources, which are looked at in every build.
    pub by: Option<&'static str>,
    /// Where it was found: `memory`, `disk`, or `workspace` for sources.
    pub tier: Option<String>,
    /// Isolation rung of the run that made the result.
    pub rung: Option<String>,
    /// Why it was executed, failed or was skipped: one line.
    pub why: Option<String>,
    /// Wall time spent on it in this build.
    pub seconds: f64,
    /// What making it took, when it was made: saved where it was recalled.
    pub saved_seconds: f64,
    /// File content that a scan read or a command wrote in this build.
    pub bytes: u64,
    /// Outputs that a failed test left: hexadecimal digests by name; absent where there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, String>,
    /// What it wrote below its mounts and nobody has, if another node stands on its root; else absent.
    #[serde(skip_serializing_if = "Lost::is_empty")]
    pub lost: Lost,
    /// What it reached through its proxy when it was made; absent where that is nothing.
    #[serde(skip_serializing_if = "Traffic::is_empty")]
    pub traffic: Traffic,
    /// How often it was tried, in this build or when it was made; absent where that is once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Executed,
    Recalled,
    /// Recalled although a node it depends on, directly or not, executed in this build.
    Cutoff,
    Failed,
    Skipped,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Totals {
    pub nodes: usize,
    pub executed: usize,
    pub recalled: usize,
    pub cutoff: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Wall time of the whole build.
    pub seconds: f64,
    /// What the recalled nodes took when they were made.
    pub saved_seconds: f64,
}

impl Report {
    pub fn new(nodes: Vec<NodeReport>, seconds: f64) -> Report {
        let count = |outcome| nodes.iter().filter(|node| node.outcome == outcome).count();
        let totals = Totals {
            nodes: nodes.len(),
            executed: count(Outcome::Executed),
            recalled: count(Outcome::Recalled),
            cutoff: count(Outcome::Cutoff),
            failed: count(Outcome::Failed),
            skipped: count(Outcome::Skipped),
            seconds,
            saved_seconds: nodes.iter().map(|node| node.saved_seconds).sum(),
        };
        Report { version: 1, nodes, totals }
    }
}
