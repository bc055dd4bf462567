/** Replies coloured by what earned their reward, as a page: green raises it, red lowers it, the stronger the more. */
import { type Html, html, raw } from './html.ts'
import { page } from './page.ts'

export type CreditPiece = { text: string; reward: number }
export type CreditRow = {
  prompt: string
  reward: number
  tokens: readonly CreditPiece[]
  segments: readonly CreditPiece[]
}

/** Of the colour, 0 to 1: the largest part of a reply is the strongest. */
export const strengths = (pieces: readonly CreditPiece[]): number[] => {
  const most = Math.max(...pieces.map(({ reward }) => Math.abs(reward)))
  return pieces.map(({ reward }) => (most > 0 ? reward / most : 0))
}

const signed = (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}`

const marks = (pieces: readonly CreditPiece[]): Html[] =>
  strengths(pieces).map((strength, i) => {
    const side = strength < 0 ? 'lowers' : 'raises'
    const style = `--s:${Math.round(Math.abs(strength) * 70)}%`
    return html`<span class="${side}" style="${style}" title="${signed(pieces[i].reward)}">${pieces[i].text}</span>`
  })

const joined = (pieces: readonly Html[]): Html => raw(pieces.map(({ html: text }) => text).join(''))

const style = `.credit { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; max-width: none; }
.credit span { border-radius: 3px; padding: 1px 0; }
.credit .raises { background: color-mix(in srgb, var(--good) var(--s), transparent); }
.credit .lowers { background: color-mix(in srgb, var(--bad) var(--s), transparent); }
.prompt { white-space: pre-wrap; overflow-wrap: anywhere; color: var(--soft); font-size: .9rem; }`

/** A self-contained page. @param model what judged */
export const creditPage = (model: string, rows: readonly CreditRow[]): string =>
  page({
    title: `Credit: ${model}`,
    body: [
      html`<style>${raw(style)}</style>
<h1>What earned the reward</h1>
<p>Judged by ${model}. By token: how far each token moves the score as the reply grows. By sentence: how far the score
falls when the sentence is left out. Green raises the reward, red lowers it; the strongest part of each reply has the full
colour. Point at a part to see its number.</p>`,
      ...rows.map(
        ({ prompt, reward, tokens, segments }, i) => html`<section class="card">
<h2 style="margin-top:0">Reply ${i + 1}: ${reward.toFixed(3)}</h2>
<p class="prompt">${prompt}</p>
<h3>By token</h3>
<p class="credit">${joined(marks(tokens))}</p>
${segments.length > 0 ? html`<h3>By sentence</h3><p class="credit">${joined(marks(segments))}</p>` : raw('')}
</section>`,
      ),
    ],
  })
