//! `outlast config check --repair`: repaired files beside the originals, and what was changed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ::config::{Change, Repair, Source};

use super::check::{Args, findings};
use super::files::{Files, Here};

/// Repairs what can be repaired; the exit code: 0 nothing is wrong any more, 1 something is left or
/// could not be written, 2 a file cannot be read.
pub(super) fn run(args: &Args, files: Files, out: &mut impl Write) -> u8 {
    let Files { sources, unreadable, .. } = files;
    let all_read = unreadable.is_empty() && !sources.is_empty();
    let repair = ::config::repair(sources, Here::new(args.config_id.as_deref()).around());
    let written = write(args, &repair, out);
    let told = (|| {
        for file in &unreadable {
            writeln!(
                out,
                "error[unreadable]: cannot read {}: {}\n",
                file.path.display(),
                file.why
            )?;
        }
        if repair.files.is_empty() {
            writeln!(out, "nothing to repair with certainty\n")?;
        }
        findings(out, &repair.loaded, args.all)?;
        let changes = repair.changes.len();
        match (repair.files.is_empty(), repair.loaded.has_errors()) {
            (true, _) => Ok(()),
            (false, false) => {
                writeln!(
                    out,
                    "{changes} places changed; `config check` finds no error in the new files"
                )
            }
            (false, true) => {
                writeln!(out, "{changes} places changed; what is left only you can repair")
            }
        }
    })();
    let well = written.is_ok_and(|all| all) && !repair.loaded.has_errors();
    match told {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => 2,
        _ if !all_read => 2,
        _ => u8::from(!well),
    }
}

/// Shows the changes and writes the files; whether all could be written.
fn write(args: &Args, repair: &Repair, out: &mut impl Write) -> io::Result<bool> {
    let mut all = true;
    for file in &repair.files {
        let target = target(&file.path, args.output.as_deref());
        writeln!(out, "--- {}\n+++ {}", file.path, target.display())?;
        for change in repair.changes.iter().filter(|change| change.path == file.path) {
            shown(change, out)?;
        }
        match save(file, &target, args.output.as_deref()) {
            Ok(()) => writeln!(out, "written: {}\n", target.display())?,
            Err(error) => {
                all = false;
                writeln!(out, "error[unwritable]: {}: {error}\n", target.display())?;
            }
        }
    }
    Ok(all)
}

fn shown(change: &Change, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "@@ line {}: {}", change.line, change.reasons.join("; "))?;
    for (sign, lines) in [('-', &change.before), ('+', &change.after)] {
        for line in ::config::masked(lines).split('\n') {
            writeln!(out, "{sign}{}", line.trim_end_matches('\r'))?;
        }
    }
    Ok(())
}

fn target(path: &str, output: Option<&Path>) -> PathBuf {
    let path = Path::new(path);
    match (output, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => PathBuf::from(format!("{}.repaired", path.display())),
    }
}

/// Writes a new file that is no more readable than the original; never over another one.
fn save(file: &Source, target: &Path, output: Option<&Path>) -> io::Result<()> {
    if let Some(folder) = output {
        fs::create_dir_all(folder)?;
    }
    if fs::read(target).is_ok_and(|there| there == file.text.as_bytes()) {
        let same = fs::canonicalize(target)? == fs::canonicalize(&file.path)?;
        return if same { Err(original()) } else { Ok(()) };
    }
    let mode = fs::metadata(&file.path)?.permissions().mode() & 0o777;
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(target);
    let mut new = opened.map_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            return error;
        }
        let told =
            "it is there already, and nothing is written over it: move it away, or give --output";
        io::Error::new(error.kind(), told)
    })?;
    new.write_all(file.text.as_bytes())?;
    new.sync_all()
}

fn original() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "that is the original: give another folder")
}
