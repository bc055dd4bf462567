/** For tests of the studio's page: a studio in a process of its own, a browser, and what axe finds on a page. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { type Browser, chromium, type Page } from 'playwright-core'
import { root } from './project.ts'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
export const hasBrowser = existsSync(executablePath)

export const openBrowser = (): Promise<Browser> => chromium.launch({ executablePath, args: ['--no-sandbox'] })

export type StudioProcess = { url: string; owner: string; child: ChildProcess; close(): Promise<void> }

/** `attune studio` of a folder, built before, on a free port. */
export const startStudio = async (folder: string, flags: readonly string[] = []): Promise<StudioProcess> => {
  const argv = ['bin/attune.js', 'studio', folder, '--port', '0', '--json', ...flags]
  const child = spawn(process.execPath, argv, { cwd: root })
  let errors = ''
  child.stderr.on('data', (text) => (errors += text))
  const ended = new Promise<void>((done) => child.once('exit', () => done()))
  for await (const line of createInterface({ input: child.stdout })) {
    const { url, owner } = JSON.parse(line)
    const close = async () => {
      child.kill('SIGINT')
      await ended
    }
    return { url, owner, child, close }
  }
  throw new Error(`the studio did not start: ${errors}`)
}

const axeSource = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe finds wrong on a page, as `rule: elements`. */
export const axeOn = async (page: Page, rules: object = {}): Promise<string[]> => {
  await page.evaluate(await axeSource)
  const violations: { id: string; nodes: { target: unknown[] }[] }[] = await page.evaluate(async (rules) => {
    const { axe } = window as unknown as { axe: { run(options: object): Promise<{ violations: never[] }> } }
    return (await axe.run({ resultTypes: ['violations'], ...rules })).violations
  }, rules)
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`)
}

/** What axe finds wrong on a page in each theme, as `theme rule: elements`; empty where nothing is. */
export const axeFindings = async (page: Page): Promise<string[]> => {
  const found: string[] = []
  for (const theme of ['light', 'dark']) {
    await page.evaluate((theme) => {
      document.documentElement.dataset.theme = theme
    }, theme)
    // Of the second theme only colours are new
    const rules = theme === 'light' ? {} : { runOnly: ['color-contrast'] }
    found.push(...(await axeOn(page, rules)).map((finding) => `${theme} ${finding}`))
  }
  return found
}
