//! Letters that the bundled fonts lack (a photo may be named 北京の雨.jpg) are drawn from the system's fonts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use egui::Context;
use egui::epaint::text::{FallbackRequest, FontInsert, FontProvider};
use egui_system_font_provider::SystemFontProvider;

/// Has `ctx` look among the system's fonts, if there are any, for letters that its own lack.
pub(crate) fn install(ctx: &Context) {
    OnDemand::install(ctx, SystemFontProvider::new);
}

/// A provider of fonts that is opened when the first letter is missed, on a thread of its own: listing the system's fonts
/// takes up to a second, and most sessions need none.
struct OnDemand<P> {
    ctx: Context,
    open: fn() -> P,
    opened: OnceLock<P>,
    is_asked: AtomicBool,
    this: Weak<Self>,
}

impl<P: FontProvider + 'static> OnDemand<P> {
    fn install(ctx: &Context, open: fn() -> P) {
        ctx.set_font_providers(vec![Arc::new_cyclic(|this| Self {
            ctx: ctx.clone(),
            open,
            opened: OnceLock::new(),
            is_asked: AtomicBool::new(false),
            this: this.clone(),
        })]);
    }

    /// Opens the provider beside the window, then has every letter looked for again.
    fn open_beside(&self, request: &FallbackRequest<'_>) {
        let (this, cluster, family) = (self.this.clone(), request.cluster.to_owned(), request.family.clone());
        let body = move || {
            let Some(this) = this.upgrade() else { return };
            let provider = (this.open)();
            let (cluster, family) = (cluster.as_str(), &family);
            // The first answer waits until the fonts are listed.
            provider.font_for(&FallbackRequest { cluster, family });
            // Err can't be: there is one such thread.
            let _ = this.opened.set(provider);
            let ctx = this.ctx.clone();
            ctx.set_font_providers(vec![this]);
        };
        let spawned = thread::Builder::new().name("mdsd3-fonts".to_owned()).spawn(body);
        if let Err(error) = spawned {
            tracing::warn!("the system's fonts are not looked at: {error}");
        }
    }
}

impl<P: FontProvider + 'static> FontProvider for OnDemand<P> {
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        if let Some(provider) = self.opened.get() {
            return provider.font_for(request);
        }
        if !self.is_asked.swap(true, Ordering::Relaxed) {
            self.open_beside(request);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use egui::epaint::text::{FontPriority, InsertFontFamily};
    use egui::{FontData, FontDefinitions, FontFamily, FontId};

    use super::*;

    static WAS_OPENED: AtomicBool = AtomicBool::new(false);

    /// A font of a system; the ctx of the test has none of its own.
    struct OneFont;

    impl FontProvider for OneFont {
        fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
            request.cluster.is_ascii().then(|| FontInsert {
                name: "system".to_owned(),
                data: FontData::from_static(include_bytes!("../fonts/Inter-Regular.otf")),
                families: vec![InsertFontFamily {
                    family: request.family.clone(),
                    priority: FontPriority::Lowest,
                }],
            })
        }
    }

    /// Draws a frame with `text`, and says whether there is a glyph for all of it.
    fn is_drawn(ctx: &Context, text: &str) -> bool {
        let _ = ctx.run_ui(egui::RawInput::default(), |ui| {
            ui.label(text);
        });
        ctx.fonts_mut(|fonts| fonts.has_glyphs(&FontId::new(14.0, FontFamily::Proportional), text))
    }

    #[test]
    fn fonts_are_opened_for_the_first_letter_that_is_missed_and_then_draw_it() {
        let ctx = Context::default();
        let mut fonts = FontDefinitions::empty();
        fonts.families.insert(FontFamily::Proportional, Vec::new());
        ctx.set_fonts(fonts);
        OnDemand::install(&ctx, || {
            WAS_OPENED.store(true, Ordering::Relaxed);
            OneFont
        });
        is_drawn(&ctx, "");
        assert!(!WAS_OPENED.load(Ordering::Relaxed), "nothing was missed");
        let begun = Instant::now();
        while !is_drawn(&ctx, "rain") {
            assert!(begun.elapsed() < Duration::from_secs(10), "the letters are still boxes");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!is_drawn(&ctx, "雨"), "no font has it, and nothing waits for one");
    }
}
