//! The view on a terminal: a line for each running node with its elapsed time and last log line,
//! and above them a line for each that ended; below, what came from servers and went to them.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::cli::progress::Lines;
use crate::engine::event::{Event, Watcher};
use crate::engine::report::Outcome;
use crate::graph::graph::{Graph, NodeId};
use crate::net::traffic::Traffic;

pub(super) struct Live<'g> {
    graph: &'g Graph,
    view: MultiProgress,
    running: HashMap<NodeId, (ProgressBar, Lines)>,
    width: usize,
    traffic: ProgressBar,
}

impl<'g> Live<'g> {
    pub(super) fn new(graph: &'g Graph, traffic: &Traffic) -> Live<'g> {
        let width = graph.nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0).min(32);
        let view = MultiProgress::new();
        let traffic = traffic_line(&view, traffic.clone());
        Live { graph, view, running: HashMap::new(), width, traffic }
    }

    fn start(&mut self, node: NodeId) {
        let width = self.width;
        let style = ProgressStyle::with_template(&format!(
            "{{spinner}} {{prefix:{width}!}} {{elapsed:>4}} {{wide_msg:.dim}}"
        ))
        .expect("bug: the template is fixed but for a number");
        let bar = self.view.insert_before(&self.traffic, ProgressBar::new_spinner().with_style(style));
        bar.set_prefix(self.name(node));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.running.insert(node, (bar, Lines::default()));
    }

    fn name(&self, node: NodeId) -> String {
        format!("{:<width$}", self.graph.node(node).name, width = self.width)
    }

    fn say(&self, text: &str) {
        // The terminal went away: nobody to tell.
        let _ = self.view.println(text);
    }
}

/// Empty until there is anything to tell.
fn traffic_line(view: &MultiProgress, traffic: Traffic) -> ProgressBar {
    let tell = move |_: &ProgressState, out: &mut dyn Write| {
        // A line that cannot be written is drawn again soon.
        let _ = out.write_str(&traffic_words(traffic.received(), traffic.sent()));
    };
    let style = ProgressStyle::with_template("{traffic:.dim}")
        .expect("bug: the template is fixed")
        .with_key("traffic", tell);
    let line = view.add(ProgressBar::new_spinner().with_style(style));
    line.enable_steady_tick(Duration::from_millis(200));
    line
}

fn traffic_words(received: u64, sent: u64) -> String {
    let words = [("received", received), ("sent", sent)];
    let told = words.iter().filter(|(_, bytes)| *bytes > 0);
    told.map(|(word, bytes)| format!("{word} {}", HumanBytes(*bytes))).collect::<Vec<_>>().join(", ")
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.traffic.finish_and_clear();
    }
}

impl Watcher for Live<'_> {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Started { node } => self.start(node),
            Event::Output { node, bytes, .. } => {
                if let Some((bar, lines)) = self.running.get_mut(&node)
                    && let Some(last) = lines.add(bytes).pop()
                {
                    bar.set_message(last);
                }
            }
            Event::Retried { node, reason, attempt, most } => {
                self.say(&format!("! {} {reason}; attempt {attempt} of {most}", self.name(node)));
            }
            Event::Settled { node, outcome, seconds } => {
                if let Some((bar, _)) = self.running.remove(&node) {
                    bar.finish_and_clear();
                }
                let name = self.name(node);
                match outcome {
                    Outcome::Executed => self.say(&format!("✓ {name} {seconds:.1}s")),
                    Outcome::Failed => self.say(&format!("✗ {name} {seconds:.1}s")),
                    Outcome::Cutoff => self.say(&format!("= {name} its inputs came out as they were")),
                    Outcome::Recalled | Outcome::Skipped => {}
                }
            }
            Event::Again { reason } => self.say(&format!("! {reason}; building again without it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_traffic_that_there_was_is_told() {
        assert_eq!(traffic_words(0, 0), "");
        assert_eq!(traffic_words(0, 512), "sent 512 B");
        assert_eq!(traffic_words(3 << 20, 1 << 10), "received 3.00 MiB, sent 1.00 KiB");
    }
}
