import { defineConfig } from 'vite'

// Where `npm run dev` sends what the pages ask of the server.
const SERVER = 'http://127.0.0.1:7880'
const forwarded = Object.fromEntries(
  ['/api', '/hls', '/recordings'].map((path) => [path, { target: SERVER }] as const),
)

export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    // Browsers that know `light-dark()`, nesting and `inert`: from the first half of 2024 on.
    target: ['chrome123', 'edge123', 'firefox121', 'safari17.5'],
    // The server's content security policy allows no `data:` script or style, and a file can be cached.
    assetsInlineLimit: 0,
    // The licences of everything bundled travel with it.
    license: { fileName: 'assets/licences.md' },
    // The call and the player are large libraries, loaded only by the pages that need them.
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: { ...forwarded, '/rtc': { target: SERVER, ws: true } },
  },
})
