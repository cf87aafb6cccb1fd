/** A person's choices for calls, the same on the pre-join page and on stage. */
import { remembered } from './remember'

export const myName = remembered<string>('name', '')
export const microphoneOn = remembered<boolean>('microphone-on', true)
export const cameraOn = remembered<boolean>('camera-on', true)
export const microphoneId = remembered<string>('microphone', '')
export const cameraId = remembered<string>('camera', '')
export const speakerId = remembered<string>('speaker', '')

/** Sound as it is: no echo cancelling, noise suppression or gain control. For music, and with headphones. */
export const originalSound = remembered<boolean>('original-sound', false)
