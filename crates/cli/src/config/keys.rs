//! Files that hold keys of adverts (`auth_hmac`, `hmac_keys`), as `outlast run` would find them on this machine.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ::config::cluster::Cluster;
use ::config::vip::{Hmac, KeyValue};
use ::config::{Diagnostic, Loaded};
use base::Span;

/// No key is longer, in whichever way it is written (bytes).
const LONGEST: u64 = 4096;

/// What is wrong with those of these files, each where it is named first.
pub(super) fn look(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut found = Vec::new();
    let of_cluster = loaded.cluster.iter().flat_map(|cluster| &cluster.vips);
    let of_cluster = of_cluster.filter_map(|vip| vip.hmac.as_ref());
    let file = loaded.sources.get(loaded.cluster_file).map_or("", |source| source.path.as_str());
    for path in of_cluster.flat_map(paths) {
        let whole = Cluster::beside(Path::new(file), Path::new(path));
        if !seen.contains(&whole) {
            let written = format!("\"{path}\"");
            found.extend(told(loaded, &[loaded.cluster_file], &written, &whole));
            seen.push(whole);
        }
    }
    let instances = loaded.keepalived.iter().flat_map(|read| &read.instances);
    let main = [loaded.keepalived_file];
    let files: Vec<usize> = main.iter().chain(&loaded.included).copied().collect();
    for path in instances.filter_map(|instance| instance.hmac.as_ref()).flat_map(paths) {
        let whole = PathBuf::from(path);
        if !seen.contains(&whole) {
            found.extend(told(loaded, &files, &format!("file:{path}"), &whole));
            seen.push(whole);
        }
    }
    found
}

fn paths(hmac: &Hmac) -> impl Iterator<Item = &String> {
    hmac.keys.iter().filter_map(|key| match &key.value {
        KeyValue::File(path) => Some(path),
        KeyValue::Bytes(_) => None,
    })
}

/// A warning, as of other secrets: the files may be of another machine. `written`: as one of `files` names it, unless a
/// parameter stands there.
fn told(loaded: &Loaded, files: &[usize], written: &str, path: &Path) -> Option<Diagnostic> {
    let (why, help) = wrong(path)?;
    let place = files.iter().find_map(|file| {
        let text = loaded.sources.get(*file)?.text.as_str();
        // Another path may begin with this one.
        let ends = |at: usize| {
            let next = text[at..].chars().next();
            next.is_none_or(|next| !next.is_alphanumeric() && !"/.-_".contains(next))
        };
        let mut all = text.match_indices(written);
        let (at, _) = all.find(|(at, _)| ends(at + written.len()))?;
        Some((*file, Span::new(at, at + written.len())))
    });
    let first = files.first().copied().unwrap_or_default();
    let (file, span) = place.unwrap_or((first, Span::new(0, 0)));
    let message = format!("the key file {} {why}", path.display());
    let help = format!("`outlast run` does not start so: {help}");
    Some(Diagnostic::warning(span, "key-file", message).help(help).in_file(file))
}

/// Why it cannot be used, and what to do; no byte of a key is in it.
fn wrong(path: &Path) -> Option<(String, String)> {
    let shown = path.display();
    let make = format!("(umask 077; echo hex:$(openssl rand -hex 32) > {shown})");
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let help = format!("make it once: {make}; then copy it to every router of the group");
            return Some(("is not there".to_owned(), help));
        }
        Err(error) => {
            let help = "outlast must be able to read it, and nobody else".to_owned();
            return Some((format!("cannot be looked at: {error}"), help));
        }
        Ok(found) => found,
    };
    if !found.is_file() {
        let help = "name the file that holds the key".to_owned();
        return Some(("is no file".to_owned(), help));
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let why = format!("can be read by others: its mode is {mode:o}, and should be 600");
        return Some((why, format!("chmod 600 {shown}")));
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    if let Err(error) = read {
        let help = "outlast must be able to read it; who checks here is somebody else".to_owned();
        return Some((format!("cannot be read: {error}"), help));
    }
    let text = std::str::from_utf8(&bytes).map(str::trim_ascii_end);
    let read = text.map_err(|_| "it is not UTF-8 text".to_owned()).and_then(KeyValue::written);
    read.err().map(|why| (format!("holds no key: {why}"), format!("make a new one: {make}")))
}

#[cfg(test)]
mod tests {
    use ::config::{Source, load, render};

    use super::*;

    /// What is said of a file in keepalived's language and a cluster file that name the same keys.
    fn said(folder: &Path) -> String {
        let shown = folder.display();
        let keepalived = format!(
            "vrrp_instance a {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n 10.0.0.9\n }}\n auth_hmac {{\n \
             key 1 file:{shown}/good\n key 2 file:{shown}/missing\n key 3 file:{shown}/open\n key 4 file:{shown}/short\n \
             key 5 file:{shown}\n active_key 1\n }}\n}}\n"
        );
        let cluster = "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n[vip.v]\naddress = \"10.0.0.8\"\n\
                       router_id = 7\nhmac_keys = { 1 = \"good\", 2 = \"short\", 3 = \"other\" }\nhmac_active = 1\n";
        let source = |name: &str, text: &str| {
            let path = folder.join(name).display().to_string();
            Source { path, text: text.to_owned() }
        };
        let mut loaded = load(vec![source("keepalived.conf", &keepalived)]);
        loaded.diagnostics = look(&loaded);
        let one = render(&loaded.sources, &loaded.diagnostics);
        let mut loaded = load(vec![source("outlast.toml", cluster)]);
        loaded.diagnostics = look(&loaded);
        let both = one + &render(&loaded.sources, &loaded.diagnostics);
        both.replace(&shown.to_string(), "FOLDER")
    }

    #[test]
    fn a_key_file_that_cannot_be_used_is_told_where_it_is_named() {
        let folder = std::env::temp_dir().join(format!("outlast-keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let key = format!("hex:{}\n", "0a".repeat(32));
        for (name, text, mode) in
            [("good", key.as_str(), 0o600), ("open", &key, 0o640), ("short", "hex:0a0b\n", 0o600)]
        {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let said = said(&folder);
        for expected in [
            "warning[key-file]: the key file FOLDER/missing is not there\n --> FOLDER/keepalived.conf:9:8",
            "warning[key-file]: the key file FOLDER/open can be read by others: its mode is 640, and should be 600\n  --> FOLDER/keepalived.conf:10:8",
            "the key file FOLDER/short holds no key: a key has 32 to 64 bytes, this one has 2\n  --> FOLDER/keepalived.conf:11:8",
            "the key file FOLDER is no file\n  --> FOLDER/keepalived.conf:12:8",
            "the key file FOLDER/short holds no key: a key has 32 to 64 bytes, this one has 2\n --> FOLDER/outlast.toml:8:31",
            "the key file FOLDER/other is not there\n --> FOLDER/outlast.toml:8:44",
            "= help: `outlast run` does not start so: chmod 600 FOLDER/open",
        ] {
            assert!(said.contains(expected), "{expected}\n{said}");
        }
        assert!(!said.contains("FOLDER/good"), "{said}");
        assert!(!said.contains("0a0b"), "no byte of a key is told: {said}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
