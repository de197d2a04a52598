//! Names that are taken: two things of one name that both exist.

use crate::lang::code::Code;
use crate::lang::declare::{Declare, taken};
use crate::lang::mistake::{Mistake, Span};
use crate::lang::scope::{Named, ScopeId, What};

impl Declare<'_, '_> {
    /// Two things of one name, both of which exist.
    pub(super) fn names_taken(&mut self) {
        for scope in (0..self.world.scopes.len()).map(ScopeId) {
            self.defaults_twice(scope);
            let env = self.env(scope);
            let mut twice: Vec<Mistake> = Vec::new();
            for (name, all) in &self.world.scope(scope).names {
                let exist: Vec<&Named<'_>> =
                    all.iter().filter(|named| self.world.exists(&named.line, env)).collect();
                let Some((first, others)) = exist.split_first() else { continue };
                let others = others.iter().filter(|other| !first.line.excludes(&other.line));
                twice.extend(others.map(|other| taken_twice(name, first, other)));
            }
            twice.into_iter().for_each(|mistake| self.findings.add(mistake));
        }
    }

    /// Two lines `default` of which both count.
    fn defaults_twice(&mut self, scope: ScopeId) {
        let env = self.env(scope);
        let mut lines = self.world.scope(scope).defaults.iter().filter(|line| self.world.exists(line, env));
        let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return };
        let (first, second) = (first.node.word_span.clone(), second.node.word_span.clone());
        let help = "name everything in one `default`";
        let mistake = Mistake::new(Code::SlotTwice, "`default` is given twice", help);
        self.findings.add(mistake.at(second, "and again here").at(first, "first here"));
    }
}

fn span(named: &Named<'_>) -> Span {
    let node = named.line.node;
    match named.what {
        What::Import(_) => node.property("as").map_or(node.word_span.clone(), |entry| entry.span.clone()),
        What::Instance(_) => node.arguments().nth(1).map_or(node.name_span(), |entry| entry.span.clone()),
        _ => node.name_span(),
    }
}

/// Nodes, imports, templates and instances have their names from one set.
fn taken_twice(name: &str, first: &Named<'_>, second: &Named<'_>) -> Mistake {
    let both_are_nodes = [first, second].iter().all(|named| matches!(named.what, What::Node(_)));
    if both_are_nodes {
        return taken("nodes", name, span(first), span(second));
    }
    let (one, other) = (&first.line.node.word, &second.line.node.word);
    let message = format!("`{name}` is the name of two things: `{one}` and `{other}`");
    let mistake = Mistake::new(Code::NameTaken, message, "rename one of them");
    mistake.at(span(second), "and this one").at(span(first), "this one")
}
