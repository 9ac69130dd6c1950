// Opens a page from disk in Chromium with the network off, in light, in dark and on paper, and keeps pictures of it.
// Fails where it asks for anything, says anything on the console, or axe-core finds something serious or critical.
//
//   node look.mjs PAGE.html FOLDER   (modules are found through the folder that holds node_modules: MODULES)

import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.env.MODULES, 'here.js'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const [page, folder] = process.argv.slice(2).map((path) => resolve(path));
const address = pathToFileURL(page).href;
mkdirSync(folder, { recursive: true });
const wrong = [];
// In milliseconds, for a machine that is busy.
const PATIENCE = 120_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync'],
});

// As a reader has it: no script runs. What it asks for and complains of is written down.
async function read(colorScheme) {
  const context = await browser.newContext({ colorScheme, offline: true, javaScriptEnabled: false, viewport: { width: 1280, height: 900 } });
  const tab = await context.newPage();
  tab.setDefaultTimeout(PATIENCE);
  tab.on('request', (request) => request.url() === address || wrong.push(`it asks for ${request.url()}`));
  tab.on('console', (message) => wrong.push(`it says on the console: ${message.text()}`));
  await tab.goto(address);
  // Not the full page: a browser draws none that is very tall.
  await tab.setViewportSize({ width: 1280, height: 4000 });
  await tab.screenshot({ path: join(folder, `${colorScheme}.png`) });
  await tab.setViewportSize({ width: 400, height: 900 });
  await tab.screenshot({ path: join(folder, `${colorScheme}-narrow.png`) });
  if (colorScheme === 'light') await tab.pdf({ path: join(folder, 'paper.pdf'), format: 'A4', preferCSSPageSize: true });
  await context.close();
}

// As a tool has it: with a script, which the page's own policy would not let in.
async function examine(colorScheme) {
  const context = await browser.newContext({ colorScheme, offline: true, bypassCSP: true, viewport: { width: 1280, height: 900 } });
  const tab = await context.newPage();
  tab.setDefaultTimeout(PATIENCE);
  await tab.goto(address);
  // What is laid out only when it is scrolled to is examined, too.
  await tab.addStyleTag({ content: '.many article { content-visibility: visible !important }' });
  await tab.evaluate(axe);
  const found = await tab.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  for (const { id, impact, help, nodes } of found.violations) {
    const places = nodes.slice(0, 3).map((node) => `    ${node.target.join(' ')}: ${node.any.map((check) => check.message).join('; ')}`);
    const told = `axe-core, ${colorScheme}: ${impact} ${id}: ${help} (${nodes.length} times)\n${places.join('\n')}`;
    if (impact === 'serious' || impact === 'critical') wrong.push(told);
    else console.log(told);
  }
  await context.close();
}

try {
  for (const scheme of ['light', 'dark']) {
    await read(scheme);
    await examine(scheme);
  }
} finally {
  await browser.close();
}
for (const line of wrong) console.error(line);
process.exit(wrong.length === 0 ? 0 : 1);
