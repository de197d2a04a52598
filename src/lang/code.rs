//! The stable codes of mistakes in build files. A code is an interface: scripts match it, people
//! search for it. It is never reused for another meaning.

macro_rules! codes {
    ($($name:ident $text:literal $doc:literal)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $doc] $name,)*
        }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// One sentence: what it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => $doc,)* }
            }
        }
    };
}

codes! {
    BuildInput "memo::build::input" "What the file says does not fit what is there."
    FileMissing "memo::file::missing" "There is no build file."
    FileRead "memo::file::read" "The build file cannot be read."
    FileSize "memo::file::size" "The build file is larger than 4 MiB."
    FileUtf8 "memo::file::utf8" "The build file is not UTF-8."
    FilesEmpty "memo::files::empty" "A glob matches no file."
    KdlDepth "memo::kdl::depth" "Blocks or comments are nested too deep."
    KdlKeyword "memo::kdl::keyword" "A keyword of KDL 2 begins with `#`, and only five words may follow it."
    KdlQuote "memo::kdl::quote" "A value holds a character that needs quotes around it."
    KdlComment "memo::kdl::comment" "Something is read as a comment, or a comment is never closed."
    KdlString "memo::kdl::string" "A text is not closed, or its lines are not indented alike."
    KdlEscape "memo::kdl::escape" "A text holds a backslash sequence that KDL does not know."
    KdlBraces "memo::kdl::braces" "Braces do not match."
    KdlCharacter "memo::kdl::character" "A character that no KDL file may hold."
    KdlSpace "memo::kdl::space" "Two values need a space between them."
    KdlValue "memo::kdl::value" "A property has no value."
    KdlNumber "memo::kdl::number" "A number is malformed or too large."
    KdlSyntax "memo::kdl::syntax" "KDL does not allow this here."
    VersionMissing "memo::version::missing" "The first line is not `memobuild 1`."
    VersionUnknown "memo::version::unknown" "The file is written for another version of the language."
    UnknownKind "memo::unknown::kind" "There is no such node kind."
    UnknownSlot "memo::unknown::slot" "The body has a line that its kind does not know."
    UnknownProperty "memo::unknown::property" "The line has no such property."
    SlotMissing "memo::slot::missing" "Something that must be given is not."
    SlotExtra "memo::slot::extra" "More is given than the line takes."
    SlotTwice "memo::slot::twice" "Something is given twice."
    SlotBody "memo::slot::body" "The line takes no block."
    NameForm "memo::name::form" "A name begins with a letter and goes on with letters, digits, `_` and `-`."
    NameTaken "memo::name::taken" "Two nodes have one name, or a node has the name of a built-in."
    TypeSlot "memo::type::slot" "The node that is named gives another type than the slot takes."
    TypeValue "memo::type::value" "The value is of another type than the slot takes, or out of its range."
    TypeNumberForText "memo::type::number-for-text" "Numbers are never text: 3.10 as a number is 3.1."
    TypeMode "memo::type::mode" "A file mode is written in octal, as 0o755."
    TypePlatform "memo::type::platform" "The node is not made for the platform that is asked of it."
    RefUnknown "memo::ref::unknown" "There is no node of that name."
    RefOutput "memo::ref::output" "The node has no such output."
    RefForm "memo::ref::form" "What stands where a node is to be named is not a reference."
    RefPackage "memo::ref::package" "There is no such package."
    RefPrivate "memo::ref::private" "The node is private to its package."
    ImportForm "memo::import::form" "What `import` names is no file of the workspace."
    ImportCycle "memo::import::cycle" "Files import each other."
    ValueUnknown "memo::value::unknown" "`${…}` names a value that does not exist."
    ValueForm "memo::value::form" "`${…}` in data is malformed, or names a shell variable."
    ValueGit "memo::value::git" "A value of the git repository cannot be told."
    ScriptSubstitution "memo::script::substitution" "Values are not put into scripts."
    ScriptEscape "memo::script::escape" "A script in an ordinary text holds a backslash, which KDL would eat."
    ParamName "memo::param::name" "A property stands where the name belongs."
    ParamUnknown "memo::param::unknown" "The file has no parameter of that name."
    ParamRequired "memo::param::required" "A parameter has neither a default nor a value."
    ParamValue "memo::param::value" "The value does not fit the parameter."
    ParamUnused "memo::param::unused" "Nothing uses the parameter."
    AxisUnknown "memo::axis::unknown" "There is no axis of that name."
    AxisValue "memo::axis::value" "A node does not stand at that coordinate, or an axis has other values."
    ConditionName "memo::when::name" "A condition cannot ask for that."
    ConditionValue "memo::when::value" "A condition compares with a value that can never be."
    MapRow "memo::map::row" "A map has no row, or no field, for what is looked up, or a row for nothing."
    TemplateCycle "memo::template::cycle" "A template or fragment uses itself."
    TemplateUnknown "memo::template::unknown" "There is no template or fragment of that name."
    GraphCycle "memo::graph::cycle" "Nodes need each other."
    GraphSize "memo::graph::size" "The build has more nodes, coordinates or outputs than any machine can hold."
    MountTwice "memo::mount::twice" "Two mounts stand at one path."
    ExportPlace "memo::export::place" "An export would write where it may not, or remove what is not its own."
    PathForm "memo::path::form" "The path is not one that this slot takes."
    OutputTwice "memo::output::twice" "Two outputs share a name or a path."
    OutputName "memo::output::name" "The name belongs to an output that every such node has."
    OutputInCache "memo::output::in-cache" "An output lies in a cache, a secret or a tmpfs: nothing of them is kept."
    RunEmpty "memo::run::empty" "The node has no command."
    RunNetwork "memo::run::network" "A command that failed has no network, and tried to reach a machine by its name."
    RunRefused "memo::run::refused" "A command failed, and its proxy had not let it through to a host."
    RunLostWrites "memo::run::lost-writes" "A run wrote files below a mount, where nothing is kept."
    RunOutputs "memo::run::outputs" "A run on `host` gives nothing but its outputs, and has none."
    PullTransport "memo::pull::transport" "`pull` names no image."
    SourceForm "memo::source::form" "What a source names cannot be fetched so."
    CopyOwner "memo::copy::owner" "A user's name has no root filesystem to be looked up in."
    GrantMissing "memo::grant::missing" "A run asks for more than a sandbox gives, and nobody has allowed it."
    ImageName "memo::image::name" "Two coordinates of an image have one name."
    ImageOnbuild "memo::image::onbuild" "Only images of the docker format have `onbuild`."
    ImageCompress "memo::image::compress" "The level is none that the compression has."
    ImageHealthcheck "memo::image::healthcheck" "A health check has exactly one command, or is `none`."
    WorkspacePlace "memo::workspace::place" "`workspace` stands in the root file only."
    PolicyNetwork "memo::policy::network" "A run uses the network, and the policy forbids it."
    PolicyHost "memo::policy::host" "A run stands on `host`, and the policy forbids it."
    PolicyRegistry "memo::policy::registry" "An image comes from a registry that the policy does not allow."
    PolicyGitValues "memo::policy::git-values" "A value comes from git, and the policy forbids it."
    ProfileUnknown "memo::profile::unknown" "There is no profile of that name."
    LockDiffers "memo::lock::differs" "What came out is not what memobuild.lock holds."
    LockMissing "memo::lock::missing" "memobuild.lock has no entry for something that it must hold."
    LockRead "memo::lock::read" "The lock file cannot be read."
    LockConflict "memo::lock::conflict" "The lock file has an open merge conflict."
    LockVersion "memo::lock::version" "The first line of the lock file is not `memobuild-lock 1`."
    LockForm "memo::lock::form" "An entry of the lock file does not have lines of its own."
    LockTwice "memo::lock::twice" "The lock file has two entries for one thing."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_well_formed() {
        let texts: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for text in texts {
            assert_eq!(text.split("::").count(), 3, "{text}");
            assert!(text.starts_with("memo::"), "{text}");
        }
    }
}
