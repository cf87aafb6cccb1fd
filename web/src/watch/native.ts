/** Players that are part of a browser: Safari's, where there are no media source extensions. */

/** Where they get the list of a broadcast from: without sizes that such a player might stumble over (docs/operate/hls.md). */
export const forNative = (source: string) => `${source}${source.includes('?') ? '&' : '?'}native`
