//! What a person or a program sees while a build goes on, all on stderr.

mod json;
mod live;
mod plain;

use std::io::IsTerminal as _;

use crate::cli::args::Progress;
use crate::engine::event::Watcher;
use crate::exec::log::harmless;
use crate::graph::graph::Graph;
use crate::net::traffic::Traffic;

/// `traffic` is shown as it grows, where somebody looks on.
pub(super) fn start<'g>(progress: Progress, graph: &'g Graph, traffic: &Traffic) -> Box<dyn Watcher + 'g> {
    let auto = if std::io::stderr().is_terminal() { Progress::Tty } else { Progress::Plain };
    match if progress == Progress::Auto { auto } else { progress } {
        Progress::Tty | Progress::Auto => Box::new(live::Live::new(graph, traffic)),
        Progress::Plain => Box::new(plain::Plain::new(graph)),
        Progress::Json => Box::new(json::Json::new(graph)),
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Default)]
struct Lines(Vec<u8>);

/// A line that never ends is cut here, in bytes.
const LONGEST: usize = 16 * 1024;

impl Lines {
    /// The lines that `bytes` complete, without their ends.
    fn add(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || self.0.len() >= LONGEST {
                lines.push(self.take());
            }
            if byte != b'\n' {
                self.0.push(byte);
            }
        }
        lines
    }

    /// What stands after the last line end.
    fn rest(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.0).into_owned();
        self.0.clear();
        harmless(line.trim_end_matches('\r'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_bytes_are() {
        let mut lines = Lines::default();
        assert_eq!(lines.add(b"a"), Vec::<String>::new());
        assert_eq!(lines.add(b"b\ncd\r\n\ne"), ["ab", "cd", ""]);
        assert_eq!(lines.rest(), Some("e".to_owned()));
        assert_eq!(lines.rest(), None);
        assert_eq!(lines.add(b"\x1b[2J\n"), ["\u{fffd}[2J"]);
        assert_eq!(lines.add(&[b'x'; LONGEST + 1]).len(), 1);
    }
}
