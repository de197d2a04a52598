//! Files that import each other. Each is read once, so that a ring ends; but whoever reads one of them
//! has to know all of them, which imports are there to avoid.

use crate::lang::code::Code;
use crate::lang::cycle::rings;
use crate::lang::mistake::{Findings, Mistake, Span};
use crate::lang::scope::{What, World};

/// One file imports another, both by their place in `Files`.
struct Import {
    from: usize,
    to: usize,
    span: Span,
}

pub fn check(world: &World<'_>, findings: &mut Findings) {
    let imports = imports(world);
    for ring in rings(imports.iter().map(|import| (import.from, import.to))) {
        let ring: Vec<&Import> = ring.iter().map(|&place| &imports[place]).collect();
        findings.add(mistake(world, &ring));
    }
}

/// In the order of the files.
fn imports(world: &World<'_>) -> Vec<Import> {
    let mut imports = Vec::new();
    for (from, scope) in world.packages.iter().enumerate() {
        for named in world.scope(*scope).names.values().flatten() {
            if let What::Import(Some(to)) = named.what {
                imports.push(Import { from, to, span: named.line.node.name_span() });
            }
        }
    }
    imports.sort_by_key(|import| import.span.start);
    imports
}

fn mistake(world: &World<'_>, ring: &[&Import]) -> Mistake {
    let name = |file: usize| world.files.files[file].name();
    let (message, help) = match ring {
        [one] => (
            format!("{} imports itself", name(one.from)),
            "remove this line: a file knows what it declares itself",
        ),
        _ => (
            "these files import each other".to_owned(),
            "move what both need to a file of its own, and let both import that",
        ),
    };
    let mut mistake = Mistake::new(Code::ImportCycle, message, help);
    for (number, import) in ring.iter().enumerate() {
        let label = format!("{}: {} imports {}", number + 1, name(import.from), name(import.to));
        mistake = mistake.at(import.span.clone(), label);
    }
    mistake
}
