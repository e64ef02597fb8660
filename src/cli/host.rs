//! What the commands need of the machine: files, the terminal, a clock. Natively that is the standard library; in
//! WebAssembly it is the JavaScript that called. This is the only place where the two differ.

pub use on::{
    Bar, Clock, create_dir_all, guard, is_symlink, metadata, read, read_dir, remove_dir_all, remove_file, rename,
    same_file, stderr, stderr_is_terminal, stdout, write,
};

use std::path::Path;

/// What is at a path, links followed.
#[derive(Debug, Clone, Copy)]
pub struct Metadata {
    pub is_dir: bool,
    pub is_file: bool,
    pub len: u64,
}

/// What a folder has.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    /// Whether it is a folder itself, and no link to one.
    pub is_dir: bool,
}

/// Whether something is there.
pub fn exists(path: &Path) -> bool {
    metadata(path).is_ok()
}

/// Whether a folder is there.
pub fn is_dir(path: &Path) -> bool {
    metadata(path).is_ok_and(|metadata| metadata.is_dir)
}

/// Whether a file is there.
pub fn is_file(path: &Path) -> bool {
    metadata(path).is_ok_and(|metadata| metadata.is_file)
}

#[cfg(not(target_family = "wasm"))]
mod on {
    use std::any::Any;
    use std::io::{self, IsTerminal, Write};
    use std::path::Path;
    use std::time::{Duration, Instant};
    use std::{fs, panic};

    use indicatif::{ProgressBar, ProgressStyle};

    use super::{Entry, Metadata};

    pub use std::fs::{create_dir_all, read, remove_dir_all, remove_file, rename, write};

    pub fn read_dir(path: &Path) -> io::Result<Vec<Entry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok::<_, io::Error>(Entry { name, is_dir: entry.file_type().is_ok_and(|kind| kind.is_dir()) })
        };
        fs::read_dir(path)?.map(entry).collect()
    }

    pub fn metadata(path: &Path) -> io::Result<Metadata> {
        let found = fs::metadata(path)?;
        Ok(Metadata { is_dir: found.is_dir(), is_file: found.is_file(), len: found.len() })
    }

    pub fn is_symlink(path: &Path) -> bool {
        path.is_symlink()
    }

    /// Whether both paths lead to one file that is there.
    pub fn same_file(a: &Path, b: &Path) -> bool {
        a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
    }

    pub fn stdout(text: &str) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    pub fn stderr(text: &str) -> io::Result<()> {
        anstream::stderr().write_all(text.as_bytes())
    }

    pub fn stderr_is_terminal() -> bool {
        io::stderr().is_terminal()
    }

    /// Does work that may panic; what a panic carries.
    pub fn guard<T>(
        work: impl FnOnce() -> T + panic::UnwindSafe,
        _report: fn(&(dyn Any + Send)),
    ) -> Result<T, Box<dyn Any + Send>> {
        panic::set_hook(Box::new(|_| {}));
        panic::catch_unwind(work)
    }

    /// The time since a moment.
    pub struct Clock(Instant);

    impl Clock {
        pub fn start() -> Self {
            Self(Instant::now())
        }

        pub fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }
    }

    /// A bar on standard error.
    pub struct Bar(ProgressBar);

    impl Bar {
        /// A bar of `total`, which began some time ago.
        pub fn new(unit: &str, total: usize, elapsed: Duration) -> Self {
            let bar = ProgressBar::new(total as u64).with_elapsed(elapsed);
            if let Ok(style) = ProgressStyle::with_template("{elapsed:>5} {bar:32.red} {pos}/{len} {msg}") {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar.set_message(unit.to_string());
            bar.enable_steady_tick(Duration::from_millis(120));
            Self(bar)
        }

        pub fn at(&self, done: usize) {
            self.0.set_position(done as u64);
        }
    }

    impl Drop for Bar {
        fn drop(&mut self) {
            self.0.finish_and_clear();
        }
    }
}

#[cfg(target_family = "wasm")]
pub use on::{Host, with_host};

#[cfg(target_family = "wasm")]
mod on {
    use std::any::Any;
    use std::cell::{Cell, RefCell};
    use std::io::{self, Error, ErrorKind};
    use std::panic;
    use std::path::Path;
    use std::time::Duration;

    use js_sys::{Array, Reflect, Uint8Array};
    use wasm_bindgen::prelude::*;

    use super::{Entry, Metadata};

    #[wasm_bindgen]
    extern "C" {
        /// The functions that `pkg/src/cli.ts` gives; failures are Node's errors, with a `code`.
        pub type Host;

        #[wasm_bindgen(method, catch, js_name = readFile)]
        fn read_file(this: &Host, path: &str) -> Result<Uint8Array, JsValue>;
        #[wasm_bindgen(method, catch, js_name = writeFile)]
        fn write_file(this: &Host, path: &str, bytes: Uint8Array) -> Result<(), JsValue>;
        #[wasm_bindgen(method, catch)]
        fn rename(this: &Host, from: &str, to: &str) -> Result<(), JsValue>;
        #[wasm_bindgen(method, catch, js_name = removeFile)]
        fn remove_file(this: &Host, path: &str) -> Result<(), JsValue>;
        #[wasm_bindgen(method, catch, js_name = removeFolder)]
        fn remove_folder(this: &Host, path: &str) -> Result<(), JsValue>;
        #[wasm_bindgen(method, catch, js_name = makeFolder)]
        fn make_folder(this: &Host, path: &str) -> Result<(), JsValue>;
        /// The names in a folder, those of folders with `/` at the end.
        #[wasm_bindgen(method, catch, js_name = listFolder)]
        fn list_folder(this: &Host, path: &str) -> Result<Array, JsValue>;
        /// A file's length, -1 for a folder, -2 for anything else.
        #[wasm_bindgen(method, catch)]
        fn stat(this: &Host, path: &str) -> Result<f64, JsValue>;
        #[wasm_bindgen(method, js_name = isLink)]
        fn is_link(this: &Host, path: &str) -> bool;
        #[wasm_bindgen(method, js_name = realPath)]
        fn real_path(this: &Host, path: &str) -> Option<String>;
        #[wasm_bindgen(method, catch)]
        fn write(this: &Host, stream: u8, text: &str) -> Result<(), JsValue>;
        #[wasm_bindgen(method, js_name = isTerminal)]
        fn is_terminal(this: &Host, stream: u8) -> bool;
        #[wasm_bindgen(method, js_name = hasColours)]
        fn has_colours(this: &Host, stream: u8) -> bool;
        #[wasm_bindgen(method)]
        fn now(this: &Host) -> f64;
    }

    thread_local! {
        static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
    }

    const STDOUT: u8 = 1;
    const STDERR: u8 = 2;

    /// Does `work` for commands on `host`.
    pub fn with_host<T>(host: Host, work: impl FnOnce() -> T) -> T {
        HOST.with_borrow_mut(|current| *current = Some(host));
        work()
    }

    fn on<T>(call: impl FnOnce(&Host) -> Result<T, JsValue>) -> io::Result<T> {
        HOST.with_borrow(|host| match host {
            Some(host) => call(host).map_err(|error| failed(&error)),
            None => Err(Error::other("there is no host")),
        })
    }

    /// The standard library's error for one of Node's, in the words that it has on Linux.
    fn failed(error: &JsValue) -> Error {
        let text = |name: &str| Reflect::get(error, &name.into()).ok().and_then(|value| value.as_string());
        let code = text("code").unwrap_or_default();
        let (kind, said) = match code.as_str() {
            "ENOENT" => (ErrorKind::NotFound, "No such file or directory (os error 2)"),
            "EACCES" => (ErrorKind::PermissionDenied, "Permission denied (os error 13)"),
            "EEXIST" => (ErrorKind::AlreadyExists, "File exists (os error 17)"),
            "ENOTDIR" => (ErrorKind::NotADirectory, "Not a directory (os error 20)"),
            "EISDIR" => (ErrorKind::IsADirectory, "Is a directory (os error 21)"),
            "ENOSPC" => (ErrorKind::StorageFull, "No space left on device (os error 28)"),
            "EROFS" => (ErrorKind::ReadOnlyFilesystem, "Read-only file system (os error 30)"),
            "EPIPE" => (ErrorKind::BrokenPipe, "Broken pipe (os error 32)"),
            "ENOTEMPTY" => (ErrorKind::DirectoryNotEmpty, "Directory not empty (os error 39)"),
            _ => return Error::other(text("message").unwrap_or(code)),
        };
        Error::new(kind, said)
    }

    fn name(path: &Path) -> String {
        path.to_string_lossy().into_owned()
    }

    pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        on(|host| host.read_file(&name(path.as_ref()))).map(|bytes| bytes.to_vec())
    }

    pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        on(|host| host.write_file(&name(path.as_ref()), Uint8Array::from(bytes.as_ref())))
    }

    pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        on(|host| host.rename(&name(from.as_ref()), &name(to.as_ref())))
    }

    pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
        on(|host| host.remove_file(&name(path.as_ref())))
    }

    pub fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
        on(|host| host.remove_folder(&name(path.as_ref())))
    }

    pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
        on(|host| host.make_folder(&name(path.as_ref())))
    }

    pub fn read_dir(path: &Path) -> io::Result<Vec<Entry>> {
        let entry = |text: String| match text.strip_suffix('/') {
            Some(name) => Entry { name: name.to_string(), is_dir: true },
            None => Entry { name: text, is_dir: false },
        };
        let names = on(|host| host.list_folder(&name(path)))?;
        Ok(names.iter().filter_map(|text| text.as_string()).map(entry).collect())
    }

    pub fn metadata(path: &Path) -> io::Result<Metadata> {
        let len = on(|host| host.stat(&name(path)))?;
        Ok(Metadata { is_dir: len == -1.0, is_file: len >= 0.0, len: len.max(0.0) as u64 })
    }

    pub fn is_symlink(path: &Path) -> bool {
        on(|host| Ok(host.is_link(&name(path)))).unwrap_or(false)
    }

    /// Whether both paths lead to one file that is there.
    pub fn same_file(a: &Path, b: &Path) -> bool {
        let real = |path: &Path| on(|host| Ok(host.real_path(&name(path)))).ok().flatten();
        real(a).is_some_and(|a| real(b).is_some_and(|b| a == b))
    }

    fn print(stream: u8, text: &str) -> io::Result<()> {
        on(|host| match host.has_colours(stream) {
            true => host.write(stream, text),
            false => host.write(stream, &anstream::adapter::strip_str(text).to_string()),
        })
    }

    pub fn stdout(text: &str) -> io::Result<()> {
        print(STDOUT, text)
    }

    pub fn stderr(text: &str) -> io::Result<()> {
        print(STDERR, text)
    }

    pub fn stderr_is_terminal() -> bool {
        on(|host| Ok(host.is_terminal(STDERR))).unwrap_or(false)
    }

    /// Does work that may panic, which ends this instance: so the panic is reported before.
    pub fn guard<T>(work: impl FnOnce() -> T, report: fn(&(dyn Any + Send))) -> Result<T, Box<dyn Any + Send>> {
        panic::set_hook(Box::new(move |info| match info.payload().downcast_ref::<&str>() {
            Some(said) => report(said),
            None => report(&info.payload().downcast_ref::<String>().cloned().unwrap_or_default()),
        }));
        Ok(work())
    }

    fn now() -> f64 {
        on(|host| Ok(host.now())).unwrap_or_default()
    }

    /// The time since a moment.
    pub struct Clock(f64);

    impl Clock {
        pub fn start() -> Self {
            Self(now())
        }

        pub fn elapsed(&self) -> Duration {
            Duration::from_nanos(((now() - self.0) * 1e6) as u64)
        }
    }

    /// A line on standard error that is written over.
    pub struct Bar {
        unit: String,
        total: usize,
        clock: Clock,
        drawn: Cell<Option<Duration>>,
    }

    /// Oftener than this nobody sees it.
    const INTERVAL: Duration = Duration::from_millis(120);

    impl Bar {
        /// A bar of `total`.
        pub fn new(unit: &str, total: usize, _elapsed: Duration) -> Self {
            Self { unit: unit.to_string(), total, clock: Clock::start(), drawn: Cell::new(None) }
        }

        pub fn at(&self, done: usize) {
            let now = self.clock.elapsed();
            if self.drawn.get().is_none_or(|drawn| now.saturating_sub(drawn) >= INTERVAL) {
                self.drawn.set(Some(now));
                let _ = on(|host| host.write(STDERR, &format!("\r\x1b[K{done}/{} {}", self.total, self.unit)));
            }
        }
    }

    impl Drop for Bar {
        fn drop(&mut self) {
            let _ = on(|host| host.write(STDERR, "\r\x1b[K"));
        }
    }
}
