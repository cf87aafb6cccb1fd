/** The top of every page but the stage, which has its own. */
import type { ComponentChildren } from 'preact'
import { followLink } from '../router'
import { ThemeToggle } from './ThemeToggle'
import './header.css'

export function Logo() {
  return (
    <a class="logo" href="/" onClick={followLink} aria-label="amphi, to the home page">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <path d="M3 13a13 13 0 0 0 26 0" />
        <path d="M8.500 13a7.500 7.500 0 0 0 15 0" />
        <circle cx="16" cy="12" r="3" />
      </svg>
      <span>amphi</span>
    </a>
  )
}

export function Header({ children }: { children?: ComponentChildren }) {
  return (
    <header class="header">
      <Logo />
      <nav aria-label="amphi">
        <a href="/#live" >Live now</a>
        <a href="/#recordings">Recordings</a>
      </nav>
      <div class="header-end">
        {children}
        <ThemeToggle />
      </div>
    </header>
  )
}
