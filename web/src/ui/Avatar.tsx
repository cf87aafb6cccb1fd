import { hueOf, initials } from './hue'
import './avatar.css'

export function Avatar({ name, seed }: { name: string; seed: string }) {
  return (
    <span class="avatar" aria-hidden="true" style={{ backgroundColor: hueOf(seed).solid }}>
      {initials(name)}
    </span>
  )
}
