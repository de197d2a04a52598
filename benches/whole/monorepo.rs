//! A generated monorepo, equal on every machine: packages of seventeen nodes each that stand on one another and on
//! a shared template. Only build files: reading them looks at no other.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Nodes of the graph that one unit makes, at the least.
const UNIT: usize = 17;

const ROOT: &str = r#"memobuild 1
workspace "bench" {
    cache { l1 memory="512MiB"; l2 max="40GiB"; }
    policy { network allow; }
    profile ci { param mode=release; }
}
param mode default=debug shared=#true { values debug release; }
axis python "3.12" "3.13"
"#;

const TEMPLATE: &str = r#"memobuild 1
fragment offline { env CI="1" HOME="/tmp/home"; limits memory="2GiB" timeout="10m"; }
template service {
    param name
    param port type=int default=8080
    param binary type=tree
    run check {
        from host
        mount binary at="/in"
        use offline
        env NAME="${param.name}"
        exec "/in/app" "--check" "--port=${param.port}"
        output report "/out"
    }
    tree files { copy binary to="/srv/${param.name}"; copy check.report to="/srv/report"; }
    image image {
        name "example.org/${param.name}:${platform.arch}"
        from scratch
        layer program { copy files to="/" owner="1000:1000"; }
        env NAME="${param.name}" PORT="${param.port}"
        expose "${param.port}"
        entrypoint "/srv/${param.name}/app"
    }
    output image image
    output report check.report
}
"#;

/// What stands once for each unit: `@` is its number, and `@before` a tree of another one.
const NODES: &str = r##"
param version@ default="1.@" { doc "What service @ says of itself"; }
map flags@ by=platform.arch { arm64 march="armv8-a"; else march="x86-64-v2"; }

pull base@ "docker.io/library/debian:bookworm-@"
files src@ root="src/@" {
    include "src/**" "Cargo.toml" "Cargo.lock"
    exclude "**/*.tmp" "**/*.swp"
}
files config@ root="config/@" gitignore=#false { include "*.toml"; }
run deps@ {
    doc "Fetches what the build needs"
    from base@
    network
    mount config@ at="/config" access=ro
    cache cargo at="/root/.cargo" sharing=locked
    env CARGO_HOME="/root/.cargo" VERSION="${param.version@}"
    sh #"""
        set -o pipefail
        cargo fetch --locked | tee /out/log
        test -n "$VERSION" && echo "$VERSION" > /out/version
        """#
    output vendor "/out"
}
run build@ {
    from base@
    workdir "/src"
    mount src@ at="/src"
    mount "@before" at="/before" access=ro
    mount deps@.vendor at="/vendor" access=ro
    use common.offline
    env VERSION="${param.version@}" MODE="${param.mode}" RUSTFLAGS="-C target-cpu=${map.flags@.march}"
    when param.mode=release { env STRIP="1"; }
    exec "cargo" "build" "--offline" "--features" "v${param.version@}"
    output dist "/src/target/dist"
    output docs "/src/target/doc" { include "**/*.html"; }
}
run wheel@ {
    matrix python
    from base@
    mount src@ at="/src"
    env PYTHON="${matrix.python}"
    exec "python${matrix.python}" "-m" "build" "--outdir" "/out"
    output dist "/out"
}
run install@ {
    from base@
    mount wheel@.dist at="/wheels" access=ro
    exec "pip${matrix.python}" "install" "--root=/out" "/wheels"
    output site "/out"
}
tree docs@ { copy build@.docs to="/www/"; file "/www/robots.txt" "User-agent: *"; }
tree root@ { from base@; copy docs@ to="/srv" owner="0:0"; dir "/var/lib/app" mode=0o700; }
image app@ {
    name "example.org/app@:${param.version@}"
    from root@
    layer program { copy build@.dist to="/app" mode=0o755; }
    layer site { copy install@.site to="/py/3.12" { pick python="3.12"; }; }
    env MODE="${param.mode}" PATH="/app:${from.env.PATH}"
    label org.example.version="${param.version@}"
    expose 8080 9090
    entrypoint "/app/bin" "--serve"
    user "1000"
}
test unit@ {
    from base@
    mount build@.dist at="/app"
    exec "/app/bin" "--self-test"
    expect exit=0
}
check lean@ { of app@; lacks "/root/.cargo"; max-size "200MiB"; }
use common.service svc@ { name "svc@"; port 8080; binary build@.dist; }
group tests@ unit@ lean@
"##;

/// `nodes` in `files` packages, all of them wanted by the root.
pub(crate) fn write(folder: &Path, nodes: usize, files: usize) {
    // Each package has one, at the least.
    let units = nodes.div_ceil(UNIT).max(files);
    let mut root = format!("{ROOT}default");
    for file in 0..files {
        let package = folder.join(format!("services/s{file}"));
        let mut text = "memobuild 1\nimport \"//build/common.kdl\" as=common\n".to_owned();
        let mut defaults = "default".to_owned();
        let first = file * units / files;
        for number in first..(file + 1) * units / files {
            let before = match number.checked_sub(1) {
                None => "./empty".to_owned(),
                Some(before) if number == first => format!("//services/s{}:build{before}.dist", file - 1),
                Some(before) => format!("build{before}.dist"),
            };
            text.push_str(&NODES.replace("@before", &before).replace('@', &number.to_string()));
            let _ = write!(defaults, " svc{number}.image app{number}");
        }
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("memobuild.kdl"), format!("{text}{defaults}\n")).unwrap();
        let _ = write!(root, " \"//services/s{file}\"");
    }
    fs::create_dir_all(folder.join("build")).unwrap();
    fs::write(folder.join("build/common.kdl"), TEMPLATE).unwrap();
    fs::write(folder.join("memobuild.kdl"), format!("{root}\n")).unwrap();
}
