/** The page of `attune credit`: completions coloured by how far each token and sentence raises or lowers the reward. */
import { type Html, html, raw } from '../../report/html.ts'
import { page } from '../../report/page.ts'

/** A token or a sentence, and its share of the reward. */
type CreditPiece = { text: string; reward: number }

/** One completion on the page. */
export type CreditRow = {
  /** Names the row and which of its completions this is. */
  title: string
  prompt: string
  reward: number
  /** The score at the end of the prompt. */
  before: number
  tokens: readonly CreditPiece[]
  segments: readonly CreditPiece[]
}

/** How strongly each piece is coloured, -1 to 1: the one with the largest share of the reward gets the full colour. */
export const strengths = (pieces: readonly CreditPiece[]): number[] => {
  const most = Math.max(...pieces.map(({ reward }) => Math.abs(reward)))
  return pieces.map(({ reward }) => (most > 0 ? reward / most : 0))
}

const number = (value: number) => `${value < 0 ? '−' : ''}${Math.abs(value).toFixed(3)}`
const signed = (value: number) => `${value < 0 ? '' : '+'}${number(value)}`

const marks = (pieces: readonly CreditPiece[]): Html[] =>
  strengths(pieces).map((strength, i) => {
    const side = strength < 0 ? 'lowers' : 'raises'
    const style = `--s:${Math.round(Math.abs(strength) * 70)}%`
    return html`<span class="${side}" style="${style}" title="${signed(pieces[i].reward)}">${pieces[i].text}</span>`
  })

const joined = (pieces: readonly Html[]): Html => raw(pieces.map(({ html: text }) => text).join(''))

/** A list item for each piece, with its share of the reward. */
const listed = (pieces: readonly CreditPiece[]): Html =>
  joined(marks(pieces).map((mark, i) => html`<li><b>${signed(pieces[i].reward)}</b>${mark}</li>`))

const style = `.credit { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; max-width: none; }
.credit span { border-radius: 3px; padding: 1px 0; }
ul.credit { list-style: none; padding: 0; margin: 0; line-height: 1.6; }
ul.credit li { display: flex; gap: 1rem; margin-bottom: .3rem; white-space: normal; }
ul.credit b { flex: none; width: 4.5em; text-align: right; font-weight: 500; font-variant-numeric: tabular-nums; color: var(--soft); }
.credit .raises { background: color-mix(in srgb, var(--good) var(--s), transparent); }
.credit .lowers { background: color-mix(in srgb, var(--bad) var(--s), transparent); }
.prompt { white-space: pre-wrap; overflow-wrap: anywhere; color: var(--soft); font-size: .9rem; }`

/** @param model the reward model   @returns a self-contained page */
export const creditPage = (model: string, rows: readonly CreditRow[]): string =>
  page({
    title: `Credit: ${model}`,
    body: [
      html`<style>${raw(style)}</style>
<h1>What earned the reward</h1>
<p>Judged by ${model}. <span class="credit"><span class="raises" style="--s:60%">Green</span></span> raises the reward,
<span class="credit"><span class="lowers" style="--s:60%">red</span></span> lowers it; the strongest part of each completion has
the full colour.</p>
<p class="soft"><b>By token</b>: how far each token moves the score as the completion grows (point at one to see its number); they
add up to the reward less the score at the end of the prompt. The model was not trained to judge unfinished completions, so
read single tokens with care. <b>By sentence</b>: how far the score falls when the sentence is left out.</p>`,
      ...rows.map(
        ({ title, prompt, reward, before, tokens, segments }) => html`<section class="card">
<h2 style="margin-top:0">Reward ${number(reward)}</h2>
<p class="kicker">${title}; ${number(before)} at the prompt's end</p>
<p class="prompt">${prompt}</p>
<h3>By token</h3>
<p class="credit">${joined(marks(tokens))}</p>
${segments.length > 0 ? html`<h3>By sentence</h3><ul class="credit">${listed(segments)}</ul>` : raw('')}
</section>`,
      ),
    ],
  })
