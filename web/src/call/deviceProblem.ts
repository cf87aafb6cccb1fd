/** Why a microphone or a camera is not there, in words that say what to do. */

export type DeviceKind = 'microphone' | 'camera'

export interface DeviceProblem {
  title: string
  advice: string
}

export type Browser = 'chromium' | 'firefox' | 'safari'

export function browserOf(userAgent: string): Browser {
  if (/firefox|fxios/i.test(userAgent)) return 'firefox'
  return /safari/i.test(userAgent) && !/chrom(e|ium)|crios|edg/i.test(userAgent) ? 'safari' : 'chromium'
}

/** Words for what `getUserMedia` threw, by the error's `name` (Media Capture and Streams, §10.2). */
export function deviceProblem(kinds: DeviceKind[], errorName: string, browser: Browser): DeviceProblem {
  const both = kinds.length > 1
  const what = kinds.join(' and ')
  switch (errorName) {
    case 'NotAllowedError':
    case 'SecurityError':
      return { title: `Your browser blocks the ${what}.`, advice: `${WHERE_TO_ALLOW[browser]} Then press “Try again”.` }
    case 'NotFoundError':
    case 'OverconstrainedError':
      return {
        title: both ? 'No microphone and no camera found.' : `No ${what} found.`,
        advice: both
          ? 'Plug one in and press “Try again”, or join and only listen.'
          : kinds[0] === 'camera'
            ? 'Plug one in and press “Try again”, or join with sound only.'
            : 'Plug one in and press “Try again”, or join without speaking.',
      }
    case 'NotReadableError':
    case 'AbortError':
      return {
        title: `The ${what} cannot be opened.`,
        advice: `Another program probably uses ${both ? 'them' : 'it'}. Close that program and press “Try again”.`,
      }
    case 'InsecureContext':
      return {
        title: 'Browsers open cameras and microphones only on secure pages.',
        advice: 'Open this page by https, or on the machine itself by http://127.0.0.1. You can join and only listen.',
      }
    default:
      return { title: `The ${what} cannot be opened (${errorName || 'unknown reason'}).`, advice: 'Press “Try again”, or join without.' }
  }
}

const WHERE_TO_ALLOW: Record<Browser, string> = {
  chromium: 'Click the icon at the left end of the address bar, open “Site settings” and allow both.',
  firefox: 'Click the crossed-out camera or microphone at the left end of the address bar and remove the block.',
  safari: 'Open “Settings for this website” in the Safari menu and allow both.',
}
