// What axe-core has to say of a screen, and whether it scrolls sideways.
import { createRequire } from 'node:module';

const SOURCE = createRequire(import.meta.url)('axe-core').source;
const LEVELS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/**
 * Violations of WCAG 2.2 AA on the screen as it is: one line each, with the first element that breaks the rule.
 * @param {import('./browser.mjs').Person} person
 */
export async function barriers(person) {
  await person.page.evaluate(SOURCE);
  return person.page.evaluate(async (levels) => {
    // A colour on its way from dark to light is on no screen for long.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const changes = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    await Promise.all(changes.map((change) => change.finished.catch(() => {})));
    const { violations } = await window.axe.run(document, { runOnly: { type: 'tag', values: levels } });
    return violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.length}×, first ${nodes[0].html.slice(0, 160)})`);
  }, LEVELS);
}

/** By how many pixels the page is wider than its window. */
export const sideways = (person) =>
  person.page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));
