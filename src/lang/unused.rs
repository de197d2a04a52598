//! What is declared and used by nothing: a warning, since it may be meant for later.

use crate::lang::code::Code;
use crate::lang::mistake::{Findings, Mistake};
use crate::lang::scope::{Param, World};

/// Parameters of files. Those of templates and fragments belong to an interface.
pub fn warn(world: &World<'_>, warnings: &mut Findings) {
    let files = world.files.files.iter().zip(&world.packages);
    for (_, &scope) in files.filter(|(file, _)| !file.is_for_settings) {
        for (name, param) in &world.scope(scope).params {
            // A shared one may be meant for packages that this build does not read.
            let Param::Known { span, shared: false, used, .. } = param else { continue };
            if !used.get() {
                let help = format!("use ${{param.{name}}}, or remove the line");
                let message = format!("nothing uses the parameter `{name}`");
                let warning = Mistake::warning(Code::ParamUnused, message, help);
                warnings.add(warning.at(span.clone(), "never used"));
            }
        }
    }
}
