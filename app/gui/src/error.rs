//! Why the studio could not run.

/// What stopped the studio from opening; each message is one line with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuiError {
    /// There is no screen to open a window on, or a library that windows need is missing.
    #[error(
        "no window could be opened ({reason}): set DISPLAY or WAYLAND_DISPLAY and, on Debian, install libxkbcommon0 \
         libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2; without a screen use `mdsd3 render`"
    )]
    Window {
        /// The window system's words.
        reason: String,
    },
    /// No graphics driver that can draw the window was found.
    #[error(
        "no graphics adapter was found ({reason}): install a Vulkan driver, on Debian mesa-vulkan-drivers and libvulkan1 (they \
         also draw without a graphics card); without one use `mdsd3 render`"
    )]
    Adapter {
        /// The graphics library's words.
        reason: String,
    },
    /// The window was open and is gone.
    #[error(
        "the window was lost ({reason}): the display went away or the window system failed; what was mixed can be mixed again, \
         settings are kept as of half a minute ago at most"
    )]
    Lost {
        /// The window library's words.
        reason: String,
    },
    /// The engine behind the window did not start.
    #[error(transparent)]
    Engine(#[from] mdsd3_engine::EngineError),
}

impl GuiError {
    /// Sorts an error of the window library into the cases above.
    pub(crate) fn from_eframe(error: eframe::Error) -> Self {
        match error {
            eframe::Error::Wgpu(error) => Self::Adapter {
                reason: short_reason(&error.to_string()),
            },
            eframe::Error::AppCreation(error) => match error.downcast::<mdsd3_engine::EngineError>() {
                Ok(error) => Self::Engine(*error),
                Err(error) => Self::Window {
                    reason: short_reason(&error.to_string()),
                },
            },
            other => Self::Window {
                reason: short_reason(&other.to_string()),
            },
        }
    }
}

/// The first line of a message, for errors of libraries that explain themselves at length, without the place in the
/// library's source that some put before it.
pub(crate) fn short_reason(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let after_place = first
        .split_once(".rs:")
        .and_then(|(_, rest)| rest.split_once(": "))
        .map(|(_, reason)| reason);
    after_place
        .unwrap_or(first)
        .trim_end_matches([':', ' ', '.', '{', '}'])
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_driver_names_the_packages() {
        let error = GuiError::Adapter {
            reason: "none".to_owned(),
        };
        let message = error.to_string();
        assert_eq!(message.lines().count(), 1);
        assert!(message.contains("mesa-vulkan-drivers") && message.contains("libvulkan1"));
    }

    #[test]
    fn a_missing_screen_names_the_headless_twin() {
        let error = GuiError::Window {
            reason: short_reason("no display.\nlong story"),
        };
        assert!(error.to_string().contains("(no display)"));
        assert!(error.to_string().contains("mdsd3 render"));
    }

    #[test]
    fn places_in_the_source_of_a_library_are_left_out() {
        let message =
            "WinitEventLoop: os error at /registry/winit/src/linux/mod.rs:788: Failed to open connection to X server";
        assert_eq!(short_reason(message), "Failed to open connection to X server");
        assert_eq!(short_reason("Failed to create surface: {}"), "Failed to create surface");
    }
}
