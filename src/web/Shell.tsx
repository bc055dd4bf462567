/** What stands around every page: the name, the parts, the theme. */
import { FlaskConical, MessagesSquare, Monitor, Moon, Sun, Tags, TrendingUp } from 'lucide-react'
import type { ReactNode } from 'react'
import { Link, useLocation } from 'wouter'
import { useSession } from './session.ts'
import { IconButton } from './ui/Button.tsx'
import { themes, useTheme } from './ui/theme.ts'

/** Parts that only the owner sees are left out for annotators. */
const parts = [
  { path: '/label', name: 'Label', icon: Tags, owner: false },
  { path: '/runs', name: 'Runs', icon: TrendingUp, owner: true },
  { path: '/play', name: 'Playground', icon: MessagesSquare, owner: true },
  { path: '/reports', name: 'Reports', icon: FlaskConical, owner: true },
] as const

export const Shell = ({ children }: { children: ReactNode }) => {
  const { person } = useSession()
  const [location] = useLocation()
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="topbar">
        <Link href="/" className="brand">
          attune
        </Link>
        <nav aria-label="Parts of the studio">
          {parts
            .filter(({ owner }) => !owner || person.role === 'own')
            .map(({ path, name, icon: Icon }) => (
              <Link key={path} href={path} aria-current={location.startsWith(path) ? 'page' : undefined}>
                <Icon size={16} aria-hidden />
                <span>{name}</span>
              </Link>
            ))}
        </nav>
        <span className="who">{person.role === 'own' ? '' : person.name}</span>
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </div>
  )
}

const icons = { system: Monitor, light: Sun, dark: Moon }

const ThemeButton = () => {
  const [theme, setTheme] = useTheme()
  const Icon = icons[theme]
  const next = themes[(themes.indexOf(theme) + 1) % themes.length]
  return (
    <IconButton label={`Theme: ${theme}. Switch to ${next}`} onClick={() => setTheme(next)}>
      <Icon size={16} aria-hidden />
    </IconButton>
  )
}
