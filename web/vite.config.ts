import { readFileSync } from 'node:fs'
import { defineConfig, type Plugin } from 'vite'

// Where `npm run dev` sends what the pages ask of the server.
const SERVER = 'http://127.0.0.1:7880'
const forwarded = Object.fromEntries(
  ['/api', '/hls', '/recordings'].map((path) => [path, { target: SERVER }] as const),
)

/** The font is no module, so Vite does not list its licence: it goes beside the others. */
const fontLicence: Plugin = {
  name: 'font-licence',
  apply: 'build',
  generateBundle() {
    const source = readFileSync(new URL('node_modules/@fontsource-variable/inter/LICENSE', import.meta.url), 'utf8')
    this.emitFile({ type: 'asset', fileName: 'assets/licence-inter.txt', source })
  },
}

export default defineConfig({
  plugins: [fontLicence],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    // Browsers that know `light-dark()`, nesting and `inert`: from the first half of 2024 on.
    target: ['chrome123', 'edge123', 'firefox121', 'safari17.5'],
    // The server's content security policy allows no `data:` script or style, and a file can be cached.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { index: 'index.html', embed: 'src/embed/element.ts' },
      // Other pages name the embedded player's script by its address, so that one stays.
      output: { entryFileNames: ({ name }) => (name === 'embed' ? 'embed.js' : 'assets/[name]-[hash].js') },
    },
    // The licences of everything bundled travel with it.
    license: { fileName: 'assets/licences.md' },
    // The call and the player are large libraries, loaded only by the pages that need them.
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: { ...forwarded, '/rtc': { target: SERVER, ws: true } },
  },
})
