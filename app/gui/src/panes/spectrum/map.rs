//! A 2-D log spectrum with its axes, its colour bar and the values under the pointer.

use egui::{Align2, Color32, Rect, Role, Sense, Shape, Ui, WidgetInfo, pos2, vec2};
use mdsd3_words::image::SpectrumFrame;

use crate::colormap::ColorMap;
use crate::panes::context::PaneContext;
use crate::spectrum_gpu::SpectrumImage;
use crate::theme;
use crate::widgets::{gradient, image_at};

/// Draws the spectrum, `range` of log10 power being the ends of its colours.
pub(super) fn show(ui: &mut Ui, studio: &mut PaneContext<'_>, spectrum: &SpectrumFrame, name: &str, range: (f32, f32)) {
    let side = ui
        .available_width()
        .min((ui.available_height() - 120.0) * 0.55)
        .max(80.0);
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), side), Sense::hover());
    let rect = Rect::from_center_size(row.center(), vec2(side, side));
    let response = ui.interact(rect, ui.make_persistent_id("2-D spectrum"), Sense::hover());
    let map = studio.looking.color_map;
    if let Some(target) = studio.shader_target {
        let spectrum = spectrum.clone();
        let image = SpectrumImage {
            spectrum,
            range,
            map,
            target,
        };
        ui.painter().add(image.into_shape(rect));
    } else {
        let texture = studio.textures.spectrum(ui.ctx(), spectrum, range, map);
        image_at(ui, rect, rect, texture);
    }
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("2-D spectrum of the {name}")));
    frequency_axis(ui, rect);
    let hovered = response.hover_pos().map(|at| read_out(spectrum, rect, at));
    color_bar(ui, rect, map, range, hovered.as_deref());
}

/// Ticks at -0.5, 0 and 0.5 cycles per pixel under the image.
fn frequency_axis(ui: &mut Ui, image: Rect) {
    let theme = theme::of(ui);
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), 14.0), Sense::hover());
    let ticks = [
        (image.left(), "−0.5", Align2::LEFT_TOP),
        (image.center().x, "0 cycles per pixel", Align2::CENTER_TOP),
        (image.right(), "0.5", Align2::RIGHT_TOP),
    ];
    for (x, text, align) in ticks {
        ui.painter().text(
            pos2(x, row.top() - 2.0),
            align,
            text,
            theme::small_font(),
            theme.text_weak,
        );
    }
}

/// What the pointer is on, in units.
fn read_out(spectrum: &SpectrumFrame, rect: Rect, at: egui::Pos2) -> String {
    let share = (at - rect.min) / rect.size();
    let bin = |share: f32, count: u32| ((share * count as f32) as u32).min(count.saturating_sub(1));
    let (x, y) = (bin(share.x, spectrum.width), bin(share.y, spectrum.height));
    let cycles = |bin: u32, count: u32| (bin as f32 - (count / 2) as f32) / count.max(1) as f32;
    let (fx, fy) = (cycles(x, spectrum.width), cycles(y, spectrum.height));
    let power = spectrum
        .log_power
        .get((y * spectrum.width + x) as usize)
        .copied()
        .unwrap_or(f32::NAN);
    format!(
        "fx {fx:+.3}  fy {fy:+.3}  radius {:.3}  power {power:+.2}",
        fx.hypot(fy)
    )
}

fn color_bar(ui: &mut Ui, image: Rect, map: ColorMap, range: (f32, f32), hovered: Option<&str>) {
    let theme = theme::of(ui);
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), 34.0), Sense::hover());
    let bar = Rect::from_x_y_ranges(image.x_range(), row.top() + 4.0..=row.top() + 14.0);
    ui.painter().add(Shape::mesh(gradient(bar, map.table())));
    let y = bar.bottom() + 3.0;
    let digits = theme::small_number_font();
    let text = |x: f32, align: Align2, text: &str, color: Color32, font| {
        ui.painter().text(pos2(x, y), align, text, font, color);
    };
    if let Some(hovered) = hovered {
        text(bar.left(), Align2::LEFT_TOP, hovered, theme.text, digits);
        return;
    }
    let (low, high) = (tick(range.0), tick(range.1));
    text(bar.left(), Align2::LEFT_TOP, &low, theme.text_weak, digits.clone());
    let (middle, unit) = (bar.center().x, "log10 power");
    text(middle, Align2::CENTER_TOP, unit, theme.text_weak, theme::small_font());
    text(bar.right(), Align2::RIGHT_TOP, &high, theme.text_weak, digits);
}

fn tick(value: f32) -> String {
    format!("{value:.0}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectrum() -> SpectrumFrame {
        SpectrumFrame {
            width: 4,
            height: 4,
            log_power: (0..16).map(|v| v as f32).collect(),
            radial: Vec::new().into(),
        }
    }

    #[test]
    fn the_middle_of_the_image_is_frequency_zero() {
        let rect = Rect::from_min_size(pos2(0.0, 0.0), vec2(40.0, 40.0));
        let text = read_out(&spectrum(), rect, pos2(21.0, 21.0));
        assert_eq!(text, "fx +0.000  fy +0.000  radius 0.000  power +10.00");
        let text = read_out(&spectrum(), rect, pos2(1.0, 21.0));
        assert!(text.starts_with("fx -0.500  fy +0.000  radius 0.500"));
    }
}
