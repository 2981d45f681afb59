//! Hands the theme to egui: fonts, and one style per look.

use std::sync::Arc;

use egui::style::{NumericColorSpace, ScrollStyle, Selection, WidgetVisuals, Widgets};
use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke, Style,
    TextStyle, Vec2, Visuals,
};

use crate::theme::{Look, Theme, by_mode, number_font, semibold, size, space};

/// Installs fonts and both looks, and shows `look`.
pub fn install(ctx: &Context, look: Look) {
    ctx.set_fonts(fonts());
    ctx.set_style_of(egui::Theme::Dark, style(by_mode(true), true));
    ctx.set_style_of(egui::Theme::Light, style(by_mode(false), false));
    ctx.set_theme(look.egui_theme());
}

/// Switches to `look`.
pub fn show(ctx: &Context, look: Look) {
    ctx.set_theme(look.egui_theme());
}

/// Inter for text (it has the combining circumflex of x̂0), the same with digits of one width for numbers, egui's own fonts
/// behind both.
fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let fallback = fonts
        .families
        .get(&FontFamily::Proportional)
        .cloned()
        .unwrap_or_default();
    let faces: [(FontFamily, &str, &'static [u8]); 3] = [
        (
            FontFamily::Proportional,
            "Inter",
            include_bytes!("../fonts/Inter-Regular.otf"),
        ),
        (
            semibold(),
            "Inter SemiBold",
            include_bytes!("../fonts/Inter-SemiBold.otf"),
        ),
        (
            FontFamily::Monospace,
            "Inter Tabular",
            include_bytes!("../fonts/InterTabular-Regular.otf"),
        ),
    ];
    for (family, name, bytes) in faces {
        fonts
            .font_data
            .insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
        let chain = std::iter::once(name.to_owned()).chain(fallback.iter().cloned());
        fonts.families.insert(family, chain.collect());
    }
    fonts
}

fn style(theme: &Theme, dark: bool) -> Style {
    let mut style = Style {
        visuals: visuals(theme, dark),
        ..Style::default()
    };
    let proportional = |points| FontId::new(points, FontFamily::Proportional);
    style.text_styles = [
        (TextStyle::Small, proportional(size::SMALL)),
        (TextStyle::Body, proportional(size::BODY)),
        (TextStyle::Button, proportional(size::BODY)),
        (TextStyle::Monospace, number_font()),
        (TextStyle::Heading, FontId::new(size::TITLE, semibold())),
    ]
    .into();
    style.drag_value_text_style = TextStyle::Monospace;
    style.spacing.item_spacing = Vec2::new(space::ITEM, 6.0);
    style.spacing.button_padding = Vec2::new(10.0, 4.0);
    style.spacing.interact_size = Vec2::new(40.0, space::ROW);
    style.spacing.slider_rail_height = 4.0;
    style.spacing.window_margin = Margin::same(space::PANE as i8);
    style.spacing.menu_margin = Margin::same(6);
    style.spacing.scroll = ScrollStyle::thin();
    style.interaction.tooltip_delay = 0.4;
    style.interaction.selectable_labels = false;
    style
}

fn visuals(theme: &Theme, dark: bool) -> Visuals {
    let corner = CornerRadius::same(space::CORNER);
    let mut visuals = if dark { Visuals::dark() } else { Visuals::light() };
    visuals.widgets = widgets(theme);
    visuals.selection = Selection {
        bg_fill: theme.accent,
        stroke: Stroke::new(1.0, theme.on_accent),
    };
    visuals.override_text_color = None;
    visuals.weak_text_color = Some(theme.text_weak);
    visuals.hyperlink_color = theme.accent_line;
    visuals.faint_bg_color = theme.raised;
    visuals.extreme_bg_color = theme.base;
    visuals.text_edit_bg_color = Some(theme.base);
    visuals.code_bg_color = theme.raised;
    visuals.warn_fg_color = theme.warning;
    visuals.error_fg_color = theme.error;
    visuals.panel_fill = theme.surface;
    visuals.window_fill = theme.raised;
    visuals.window_stroke = Stroke::new(1.0, theme.line);
    visuals.window_corner_radius = CornerRadius::same(8);
    visuals.menu_corner_radius = CornerRadius::same(8);
    let shadow = Shadow {
        offset: [0, 6],
        blur: 18,
        spread: 0,
        color: theme.shadow,
    };
    visuals.window_shadow = shadow;
    visuals.popup_shadow = shadow;
    visuals.slider_trailing_fill = true;
    visuals.striped = false;
    visuals.numeric_color_space = NumericColorSpace::GammaByte;
    visuals.widgets.noninteractive.corner_radius = corner;
    visuals
}

fn widgets(theme: &Theme) -> Widgets {
    let state = |fill: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::NONE,
        corner_radius: CornerRadius::same(space::CORNER),
        fg_stroke: Stroke::new(1.0, text),
        expansion: 0.0,
    };
    Widgets {
        noninteractive: WidgetVisuals {
            bg_stroke: Stroke::new(1.0, theme.line),
            ..state(theme.surface, theme.text)
        },
        inactive: state(theme.control, theme.text),
        hovered: state(theme.control_hover, theme.text_strong),
        active: state(theme.control_active, theme.text_strong),
        open: state(theme.control_hover, theme.text_strong),
    }
}
