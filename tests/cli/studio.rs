//! The studio itself, on a virtual screen, by mouse and keyboard.
//!
//! Needs Xvfb, xdotool and a software Vulkan driver (on Debian: xvfb xdotool mesa-vulkan-drivers libvulkan1 libxkbcommon-x11-0);
//! skipped, with the reason, where one of them is missing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::skipped::skip;

/// Far beyond what any wait needs; a hang fails the test instead of the whole run.
const PATIENCE: Duration = Duration::from_mins(3);

/// A virtual screen with the studio on it; both end when it is dropped.
struct Screen {
    server: Child,
    studio: Child,
    display: String,
    window: String,
}

impl Drop for Screen {
    fn drop(&mut self) {
        for child in [&mut self.studio, &mut self.server] {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Starts the X server; `None`, with the test skipped, when it can't.
fn server() -> Option<(Child, String)> {
    let spawned = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1440x900x24", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let has_xdotool = Command::new("xdotool").arg("version").output().is_ok();
    let (Ok(mut server), true) = (spawned, has_xdotool) else {
        skip("Xvfb or xdotool is missing (on Debian: apt-get install xvfb xdotool)");
        return None;
    };
    let mut number = String::new();
    let output = server.stdout.take().expect("its output is piped");
    BufReader::new(output).read_line(&mut number).expect("readable");
    if number.trim().is_empty() {
        server.wait().ok();
        skip("Xvfb gives no display");
        return None;
    }
    Some((server, format!(":{}", number.trim())))
}

impl Screen {
    /// A studio whose preferences are in `home`, with its photo loaded.
    fn start(home: &Path) -> Option<Self> {
        let (server, display) = server()?;
        let studio = Command::new(env!("CARGO_BIN_EXE_mdsd3"))
            .env("DISPLAY", &display)
            .env("HOME", home)
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_RUNTIME_DIR", home)
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("RUST_BACKTRACE")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stderr(fs::File::create(home.join("stderr")).expect("a writable folder"))
            .spawn()
            .expect("the program starts");
        let mut screen = Self {
            server,
            studio,
            display,
            window: String::new(),
        };
        let start = Instant::now();
        while screen.window.is_empty() {
            if screen.studio.try_wait().expect("it can be asked").is_some() {
                let reason = fs::read_to_string(home.join("stderr")).unwrap_or_default();
                skip(&format!("the studio does not open here: {}", reason.trim()));
                return None;
            }
            assert!(start.elapsed() < PATIENCE, "no window appeared");
            sleep(Duration::from_millis(200));
            screen.window = screen.xdotool(&["search", "--name", "seed [0-9]+.*MDSD3 Studio"]);
        }
        let window = screen.window.clone();
        screen.xdotool(&["windowfocus", &window]);
        Some(screen)
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let output = Command::new("xdotool")
            .env("DISPLAY", &self.display)
            .args(arguments)
            .output();
        let text = String::from_utf8_lossy(&output.expect("xdotool runs").stdout).into_owned();
        text.lines().last().unwrap_or_default().to_owned()
    }

    /// What the window's title says: photo, mix, seed.
    fn title(&self) -> String {
        self.xdotool(&["getwindowname", &self.window])
    }

    fn key(&self, keys: &str) {
        self.xdotool(&["key", keys]);
        sleep(Duration::from_millis(300));
    }

    fn drag(&self, from: (i32, i32), to: (i32, i32)) {
        let at = |(x, y): (i32, i32)| [x.to_string(), y.to_string()];
        let ([x0, y0], [x1, y1]) = (at(from), at(to));
        self.xdotool(&["mousemove", &x0, &y0, "sleep", "0.1", "mousedown", "1", "sleep", "0.1"]);
        self.xdotool(&["mousemove", &x1, &y1, "sleep", "0.1", "mouseup", "1", "sleep", "0.2"]);
    }

    fn wait_for(&self, what: &str, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(
                start.elapsed() < PATIENCE,
                "{what}: still not so; the title is {:?}",
                self.title()
            );
            sleep(Duration::from_millis(200));
        }
    }
}

/// Class and ratio pairs in one order, whatever the order was.
fn sorted(mix: &str) -> String {
    let mut parts: Vec<&str> = mix.split(',').collect();
    parts.sort_unstable();
    parts.join(",")
}

/// The mix and the seed out of a title.
fn settings_in(title: &str) -> (String, u64) {
    let (_, rest) = title.split_once(": ").expect("a photo and a mix");
    let (mix, rest) = rest.split_once(", seed ").expect("a seed");
    let seed = rest.split(' ').next().and_then(|seed| seed.parse().ok());
    (sorted(mix), seed.expect("a number"))
}

#[test]
fn a_mix_by_mouse_and_keyboard_is_saved_as_it_is_on_screen() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let data = home.path().join("data").join("mdsd3-studio");
    fs::create_dir_all(&data).expect("a writable folder");
    fs::write(data.join("app.ron"), "{ damaged").expect("a writable folder");
    let Some(mut screen) = Screen::start(home.path()) else {
        return;
    };
    assert!(
        data.join("app.damaged.ron").is_file(),
        "damaged preferences are kept aside"
    );
    let (mix_before, seed_before) = settings_in(&screen.title());
    // The first slider of the Mixer is somewhere near its top: try line by line.
    for y in (120..260).step_by(6) {
        screen.drag((130, y), (190, y));
        if settings_in(&screen.title()).0 != mix_before {
            break;
        }
    }
    screen.key("ctrl+d");
    screen.wait_for("another seed", || settings_in(&screen.title()).1 != seed_before);
    let (mix, seed) = settings_in(&screen.title());
    assert_ne!(mix, mix_before, "the mouse moves a slider");

    screen.key("ctrl+Return");
    screen.wait_for("the run begins", || screen.title().starts_with("Mixing"));
    screen.wait_for("the run ends", || !screen.title().starts_with("Mixing"));
    let target = home.path().join("saved.png");
    screen.key("ctrl+s");
    // No portal answers here, so that a field for the path takes the dialog's place.
    sleep(Duration::from_secs(2));
    screen.key("ctrl+a");
    screen.xdotool(&["type", "--delay", "20", &target.display().to_string()]);
    screen.key("Return");
    screen.wait_for("the file", || target.is_file());
    let (mix_on_screen, seed_on_screen) = settings_in(&screen.title());
    assert_eq!((mix_on_screen, seed_on_screen), (mix.clone(), seed));
    assert_eq!(settings_of(&target), (mix, seed));

    screen.key("ctrl+q");
    let status = screen.studio.wait().expect("it ends");
    assert!(status.success(), "{status}");
    assert!(fs::read_to_string(data.join("app.ron")).is_ok_and(|text| text.contains("studio")));
}

/// Mix and seed that a file says it was made with.
fn settings_of(path: &Path) -> (String, u64) {
    let output = Command::new(env!("CARGO_BIN_EXE_mdsd3")).arg("info").arg(path).output();
    let text = String::from_utf8(output.expect("the program runs").stdout).expect("text");
    let json = &text[text.find('{').expect("settings")..];
    let settings: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let mix = settings["request"]["mix"].as_object().expect("a mix");
    let active: Vec<String> = mix
        .iter()
        .filter(|(_, ratio)| ratio.as_f64() > Some(0.0))
        .map(|(class, ratio)| format!("{class}={ratio}"))
        .collect();
    (
        sorted(&active.join(",")),
        settings["request"]["seed"].as_u64().expect("a seed"),
    )
}

#[test]
fn the_doctor_lists_what_can_draw() {
    let Some((mut server, display)) = server() else {
        return;
    };
    let output = Command::new(env!("CARGO_BIN_EXE_mdsd3"))
        .arg("doctor")
        .env("DISPLAY", display)
        .output();
    server.kill().ok();
    server.wait().ok();
    let said = String::from_utf8(output.expect("the program runs").stdout).expect("text");
    let graphics = said
        .lines()
        .find(|line| line.starts_with("graphics"))
        .expect("a line on graphics");
    let is_listed = ["Vulkan", "OpenGL", "Metal", "Direct3D"]
        .iter()
        .any(|name| graphics.contains(name));
    assert!(is_listed || graphics.contains("mesa-vulkan-drivers"), "{graphics}");
}

#[test]
fn without_a_graphics_driver_the_packages_are_named() {
    let Some((mut server, display)) = server() else {
        return;
    };
    let home = tempfile::tempdir().expect("a temporary folder");
    // As on a machine without any driver: neither Vulkan's nor OpenGL's are found.
    let output = Command::new(env!("CARGO_BIN_EXE_mdsd3"))
        .env("DISPLAY", display)
        .env("HOME", home.path())
        .env("XDG_DATA_HOME", home.path().join("data"))
        .env("XDG_RUNTIME_DIR", home.path())
        .envs(["VK_ICD_FILENAMES", "VK_DRIVER_FILES", "__EGL_VENDOR_LIBRARY_FILENAMES"].map(|name| (name, "/dev/null")))
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("RUST_BACKTRACE")
        .output();
    server.kill().ok();
    server.wait().ok();
    let output = output.expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let message: Vec<&str> = said.lines().filter(|line| line.starts_with("mdsd3")).collect();
    assert_eq!(message.len(), 1, "{said}");
    assert!(
        message[0].contains("mesa-vulkan-drivers") && message[0].contains("mdsd3 render"),
        "{said}"
    );
    assert!(
        !said.contains("panicked") && !said.contains("stack backtrace"),
        "{said}"
    );
}

#[test]
fn a_lost_display_ends_the_studio_in_words() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let Some(mut screen) = Screen::start(home.path()) else {
        return;
    };
    screen.server.kill().expect("the server is ours");
    let start = Instant::now();
    while screen.studio.try_wait().expect("it can be asked").is_none() {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "the studio hangs without its display"
        );
        sleep(Duration::from_millis(100));
    }
    let said = fs::read_to_string(home.path().join("stderr")).expect("readable");
    assert!(
        said.contains("the window was lost") && !said.contains("stack backtrace"),
        "{said}"
    );
}
