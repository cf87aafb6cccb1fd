/** A whole page that says one thing: not found, not allowed, could not be loaded. */
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { Header } from './Header'
import { Seats } from './Seats'
import './message.css'

export function Message({ title, children }: { title: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · amphi`
  }, [title])
  return (
    <div>
      <Header />
      <main class="message">
        <div class="message-art">
          <Seats />
        </div>
        <h1>{title}</h1>
        {children}
      </main>
    </div>
  )
}
