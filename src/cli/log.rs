//! `memobuild log NODE`: everything its last run wrote; with `--network`, what the run that made its result reached.

use std::fmt::Write as _;

use crate::cli::args::{Args, LogArgs};
use crate::cli::failure::Failure;
use crate::cli::{place, print};
use crate::engine::history::History;
use crate::exec::log::text;
use crate::store::traffic::Traffic;

pub(super) fn log(args: &Args, asked: &LogArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?.root;
    let memo = place::open(args)?;
    let history = History::load(&memo, &workspace);
    let node = &asked.node;
    let Some(last) = history.nodes.get(node) else {
        let known = history.nodes.iter().filter(|(_, last)| last.log.is_some());
        let known: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
        let help = match known.as_slice() {
            [] => "build first".to_owned(),
            known => format!("nodes with a log: {}", known.join(", ")),
        };
        return Err(Failure::input(format!("no node `{node}` has run in this workspace"), help));
    };
    if asked.network {
        let record = last.key.map(|key| memo.recall(key)).transpose()?.flatten();
        let traffic = record.map(|record| record.traffic).unwrap_or_default();
        if traffic.is_empty() {
            print::note(&format!("memobuild: `{node}` reached nothing through a line `network`"));
        }
        return print::data(shown(&traffic));
    }
    match last.log {
        Some(log) => print::data(text(&memo, log)?),
        None => {
            print::note(&format!("memobuild: `{node}` wrote nothing"));
            Ok(())
        }
    }
}

/// A line for each host, then one for each answer, then one for each host that it was not let through to.
fn shown(traffic: &Traffic) -> String {
    let host = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut lines = String::new();
    for reached in &traffic.hosts {
        let (host, port) = (host(&reached.host), reached.port);
        let _ = writeln!(lines, "{host}:{port}: {} bytes sent, {} received", reached.sent, reached.received);
    }
    for answer in &traffic.answers {
        let (method, url, status) = (&answer.method, &answer.url, answer.status);
        let _ = writeln!(lines, "{method} {url} {status}, {} bytes, {}", answer.size, answer.sha256);
    }
    for refused in &traffic.refused {
        let port = refused.port.map(|port| format!(":{port}")).unwrap_or_default();
        let _ = writeln!(lines, "{}{port}: not let through", host(&refused.host));
    }
    if traffic.left_out > 0 {
        let _ = writeln!(lines, "and {} more", traffic.left_out);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::OciDigest;
    use crate::store::traffic::{Answer, HostTraffic, Refused};

    #[test]
    fn traffic_is_told_in_lines() {
        let host = HostTraffic { host: "::1".to_owned(), port: 443, sent: 1, received: 2, inside: false };
        let answer = Answer { sha256: OciDigest::of(b"x"), size: 1, ..Answer::of("http://a.b/c") };
        let refused = Refused { host: "c.d".to_owned(), port: None, inside: false };
        let traffic =
            Traffic { hosts: vec![host], answers: vec![answer], refused: vec![refused], left_out: 3 };
        insta::assert_snapshot!(shown(&traffic), @r"
    [::1]:443: 1 bytes sent, 2 received
    GET http://a.b/c 200, 1 bytes, sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881
    c.d: not let through
    and 3 more
    ");
    }
}
