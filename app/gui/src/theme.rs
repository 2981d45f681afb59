//! Every colour, distance and type size of the studio, dark and light; `style` hands them to egui.
//!
//! Views ask [`of`] for the [`Theme`] that the current [`Ui`] is drawn in and take all colours from it, so that a change of
//! the look is a change of this file. Surfaces are neutral greys (no tint may bias the eye on an image), there is one
//! accent, and each degradation class has one colour wherever it appears.

use egui::{Color32, FontFamily, FontId, Ui};
use serde::{Deserialize, Serialize};

/// Which of the two looks is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Look {
    /// Light text on dark neutral surfaces: the default, since images are judged best in dim surroundings.
    #[default]
    Dark,
    /// Dark text on light neutral surfaces.
    Light,
}

impl Look {
    /// The other one.
    #[must_use]
    pub fn toggled(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Dark,
        }
    }

    /// As egui names it.
    pub fn egui_theme(self) -> egui::Theme {
        match self {
            Self::Dark => egui::Theme::Dark,
            Self::Light => egui::Theme::Light,
        }
    }
}

/// Colours of one look.
#[derive(Debug)]
pub struct Theme {
    /// Gaps between panes and the tab bars.
    pub base: Color32,
    /// Panes and the top bar.
    pub surface: Color32,
    /// Cards, toasts and popups that lie on a pane.
    pub raised: Color32,
    /// Buttons, rails and fields at rest.
    pub control: Color32,
    /// The same under the pointer.
    pub control_hover: Color32,
    /// The same while pressed.
    pub control_active: Color32,
    /// Handle of a slider.
    pub handle: Color32,
    /// Outline of that handle, against the filled rail.
    pub handle_edge: Color32,
    /// A picture that is still to come.
    pub slot: Color32,
    /// Hairlines between things of equal rank.
    pub line: Color32,
    /// The neutral grey that images lie on.
    pub canvas: Color32,
    /// Text on the canvas.
    pub canvas_text: Color32,
    /// Text on the canvas that deserves attention.
    pub canvas_note: Color32,
    /// Marks on images; drawn with a dark edge so that it shows on any of them.
    pub mark: Color32,
    /// The edge of such marks.
    pub mark_edge: Color32,
    /// Headings and numbers.
    pub text_strong: Color32,
    /// Running text.
    pub text: Color32,
    /// Captions, units and explanations.
    pub text_weak: Color32,
    /// The one accent: the main button, selection, progress and the chosen step.
    pub accent: Color32,
    /// The accent under the pointer.
    pub accent_hover: Color32,
    /// Text on the accent.
    pub on_accent: Color32,
    /// Accent for thin lines and text, where the fill's would be too dark or too light.
    pub accent_line: Color32,
    /// Something failed.
    pub error: Color32,
    /// Backdrop of an error message.
    pub error_fill: Color32,
    /// Something deserves attention.
    pub warning: Color32,
    /// Something went well.
    pub success: Color32,
    /// Scene curves in plots.
    pub scene_line: Color32,
    /// Curves of physical baselines in plots.
    pub physical_line: Color32,
    /// Shadow of popups.
    pub shadow: Color32,
    /// One colour per class, in checkpoint order; after Okabe and Ito's palette, which stays distinct under the common
    /// forms of colour blindness. More classes than colours start over.
    classes: [Color32; 7],
}

const fn gray(level: u8) -> Color32 {
    Color32::from_gray(level)
}

const fn rgb(r: u8, g: u8, b: u8) -> Color32 {
    Color32::from_rgb(r, g, b)
}

static DARK: Theme = Theme {
    base: gray(14),
    surface: gray(24),
    raised: gray(33),
    control: gray(46),
    control_hover: gray(58),
    control_active: gray(70),
    slot: gray(34),
    handle: gray(232),
    handle_edge: gray(24),
    line: gray(43),
    canvas: gray(52),
    canvas_text: gray(190),
    canvas_note: rgb(242, 190, 96),
    mark: gray(255),
    mark_edge: Color32::from_black_alpha(160),
    text_strong: gray(240),
    text: gray(204),
    text_weak: gray(146),
    accent: rgb(82, 92, 214),
    accent_hover: rgb(99, 109, 232),
    on_accent: gray(255),
    accent_line: rgb(134, 144, 255),
    error: rgb(255, 122, 112),
    error_fill: rgb(64, 33, 31),
    warning: rgb(242, 184, 75),
    success: rgb(94, 200, 142),
    scene_line: gray(168),
    physical_line: rgb(176, 108, 64),
    shadow: Color32::from_black_alpha(120),
    classes: [
        rgb(86, 180, 233),
        rgb(230, 159, 0),
        rgb(214, 132, 178),
        rgb(38, 186, 142),
        rgb(240, 228, 66),
        rgb(232, 110, 36),
        rgb(92, 140, 230),
    ],
};

static LIGHT: Theme = Theme {
    base: gray(222),
    surface: gray(247),
    raised: gray(255),
    control: gray(228),
    control_hover: gray(216),
    control_active: gray(204),
    slot: gray(234),
    handle: gray(255),
    handle_edge: gray(110),
    line: gray(218),
    canvas: gray(190),
    canvas_text: gray(44),
    canvas_note: rgb(104, 58, 0),
    mark: gray(255),
    mark_edge: Color32::from_black_alpha(160),
    text_strong: gray(18),
    text: gray(48),
    text_weak: gray(98),
    accent: rgb(74, 84, 204),
    accent_hover: rgb(60, 69, 184),
    on_accent: gray(255),
    accent_line: rgb(66, 76, 196),
    error: rgb(184, 36, 28),
    error_fill: rgb(253, 230, 227),
    warning: rgb(150, 94, 0),
    success: rgb(16, 118, 72),
    scene_line: gray(110),
    physical_line: rgb(96, 52, 20),
    shadow: Color32::from_black_alpha(40),
    classes: [
        rgb(0, 114, 178),
        rgb(176, 112, 0),
        rgb(170, 78, 132),
        rgb(0, 128, 96),
        rgb(138, 128, 0),
        rgb(196, 84, 0),
        rgb(44, 84, 178),
    ],
};

impl Theme {
    /// Colour of the class at `index` in checkpoint order.
    pub fn class(&self, index: usize) -> Color32 {
        self.classes[index % self.classes.len()]
    }

    /// The `nth` shade of a colour, the colour itself being the first: lighter and darker ones in turn, for curves of one kind
    /// that must be told apart.
    pub fn shade(&self, color: Color32, nth: usize) -> Color32 {
        match nth % 3 {
            0 => color,
            1 => color.lerp_to_gamma(self.text_strong, 0.5),
            _ => color.lerp_to_gamma(self.surface, 0.35),
        }
    }
}

/// The theme that `ui` is drawn in.
pub fn of(ui: &Ui) -> &'static Theme {
    by_mode(ui.visuals().dark_mode)
}

/// The theme of a look.
pub fn by_mode(dark: bool) -> &'static Theme {
    if dark { &DARK } else { &LIGHT }
}

/// Distances in points.
pub mod space {
    /// Between things that belong together.
    pub const TIGHT: f32 = 4.0;
    /// Between neighbouring controls.
    pub const ITEM: f32 = 8.0;
    /// Between a pane's edge and its contents, and between groups.
    pub const PANE: f32 = 12.0;
    /// Between sections.
    pub const SECTION: f32 = 18.0;
    /// Height of a row of controls.
    pub const ROW: f32 = 24.0;
    /// Height of the top bar.
    pub const TOP_BAR: f32 = 52.0;
    /// Height of the tab bars.
    pub const TAB_BAR: f32 = 30.0;
    /// Corner radius of controls and cards.
    pub const CORNER: u8 = 5;
}

/// The three sizes of type, in points.
pub mod size {
    /// Captions, units, axis labels.
    pub const SMALL: f32 = 11.0;
    /// Everything else.
    pub const BODY: f32 = 13.0;
    /// Titles of sections and messages.
    pub const TITLE: f32 = 16.0;
}

/// The family of headings and of the main button.
pub fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// Body text in the heavier weight.
pub fn strong_font() -> FontId {
    FontId::new(size::BODY, semibold())
}

/// Captions.
pub fn small_font() -> FontId {
    FontId::new(size::SMALL, FontFamily::Proportional)
}

/// Digits that keep their columns.
pub fn number_font() -> FontId {
    FontId::new(size::BODY, FontFamily::Monospace)
}

/// Digits in captions.
pub fn small_number_font() -> FontId {
    FontId::new(size::SMALL, FontFamily::Monospace)
}

/// Pads a number with figure spaces, which are as wide as a digit, so that columns of numbers stay put.
pub fn padded(text: &str, digits: usize) -> String {
    let missing = digits.saturating_sub(text.chars().count());
    format!("{}{text}", "\u{2007}".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of WCAG 2.1.
    fn luminance(color: Color32) -> f32 {
        let linear = egui::Rgba::from(color);
        0.2126 * linear.r() + 0.7152 * linear.g() + 0.0722 * linear.b()
    }

    fn contrast(a: Color32, b: Color32) -> f32 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_meets_wcag_aa_on_its_surfaces() {
        for theme in [&DARK, &LIGHT] {
            for surface in [theme.surface, theme.raised, theme.base] {
                assert!(contrast(theme.text, surface) >= 4.5);
                assert!(contrast(theme.text_strong, surface) >= 7.0);
                assert!(
                    contrast(theme.text_weak, surface) >= 4.5,
                    "weak on {surface:?}: {}",
                    contrast(theme.text_weak, surface)
                );
            }
            assert!(contrast(theme.on_accent, theme.accent) >= 4.5);
            assert!(contrast(theme.canvas_text, theme.canvas) >= 4.5);
            assert!(contrast(theme.canvas_note, theme.canvas) >= 4.5);
            assert!(contrast(theme.text, theme.control) >= 4.5);
            assert!(contrast(theme.error, theme.error_fill) >= 4.5);
        }
    }

    #[test]
    fn class_colours_stand_out_from_panes() {
        for theme in [&DARK, &LIGHT] {
            for index in 0..theme.classes.len() {
                assert!(contrast(theme.class(index), theme.surface) >= 3.0, "class {index}");
            }
        }
    }

    /// Red-, green- and blue-weakness do not occur together, so the eye sees at least what the weakest of these leaves.
    /// Matrices for full protanopia and deuteranopia after Machado, Oliveira and Fernandes 2009, on linear RGB.
    const EYES: [[[f32; 3]; 3]; 3] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ];

    /// CIE 1976 lightness and the two colour axes of a colour, as an eye sees it.
    fn lab(color: Color32, eye: &[[f32; 3]; 3]) -> [f32; 3] {
        let linear = egui::Rgba::from(color);
        let dot = |row: &[f32; 3], v: [f32; 3]| row[0] * v[0] + row[1] * v[1] + row[2] * v[2];
        let seen = eye.map(|row| dot(&row, [linear.r(), linear.g(), linear.b()]).clamp(0.0, 1.0));
        let to_xyz = [
            [0.4339, 0.3762, 0.1899],
            [0.2126, 0.7152, 0.0722],
            [0.0177, 0.1095, 0.8729],
        ];
        let [x, y, z] = to_xyz.map(|row| dot(&row, seen).cbrt());
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn curves_beside_each_other_stay_apart_for_every_eye() {
        let apart = |a: Color32, b: Color32| {
            let distance = |eye| {
                let (a, b) = (lab(a, eye), lab(b, eye));
                (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f32>().sqrt()
            };
            EYES.iter().map(distance).fold(f32::INFINITY, f32::min)
        };
        for theme in [&DARK, &LIGHT] {
            // The comparison of rain, haze, both and the baseline with the scene; then branches of one of them.
            let mut curves = vec![theme.class(0), theme.class(1), theme.accent_line, theme.physical_line];
            curves.push(theme.scene_line);
            let shades = (0..3).map(|nth| theme.shade(theme.accent_line, nth));
            for set in [curves, shades.collect()] {
                for (index, a) in set.iter().enumerate() {
                    for b in &set[index + 1..] {
                        assert!(apart(*a, *b) >= 15.0, "{a:?} and {b:?}: {}", apart(*a, *b));
                    }
                }
            }
        }
    }

    #[test]
    fn surfaces_are_neutral() {
        for theme in [&DARK, &LIGHT] {
            for color in [theme.base, theme.surface, theme.raised, theme.control, theme.canvas] {
                assert!(color.r() == color.g() && color.g() == color.b());
            }
        }
    }
}
