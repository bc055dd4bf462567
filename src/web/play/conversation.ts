/** A conversation with several models side by side: its turns, what each model is asked, what is exported. Pure functions. */
import type { AnswerScore, AnswerToken, LaneRequest, Sampling, Scorer } from '../../studio/play/api.ts'

export type Message = { role: 'system' | 'user' | 'assistant'; content: string }
/** `chat`: by the model's chat template. `text`: the prompt is continued as it is, for base models. */
export type Mode = 'chat' | 'text'

export type Answer = {
  /** By which model; lanes may have changed since. */
  model: string
  text: string
  tokens: AnswerToken[]
  state: 'waiting' | 'writing' | 'done'
  finish?: 'stop' | 'length' | 'stopped'
  error?: string
  /** Milliseconds: when it was asked, when the first and the last token came. */
  times: { asked: number; first?: number; last?: number }
  scores: Partial<Record<Scorer['kind'], AnswerScore>>
}

export type Turn = {
  id: string
  /** What the user said, or the text to continue. */
  text: string
  seed: number
  /** By lane. */
  answers: Answer[]
  /** Lanes in the order of the screen. */
  shown: number[]
  better?: number | 'tie' | 'bad'
  /** Where the choice is stored. */
  saved?: { project: number; task: number }
}

export type Conversation = {
  id: string
  createdAt: string
  mode: Mode
  system: string
  blind: boolean
  turns: Turn[]
}

export const newConversation = (from: Pick<Conversation, 'mode' | 'system' | 'blind'>): Conversation => ({
  ...{ mode: from.mode, system: from.system, blind: from.blind },
  id: crypto.randomUUID(),
  createdAt: new Date().toISOString(),
  turns: [],
})

export const defaultSampling: Sampling = {
  temperature: 0.7,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  maxNewTokens: 512,
  seed: 0,
}

/** The answer that a lane goes on from: the one that was chosen; of a tie or of bad ones the first; else the lane's own. */
export const goesOnFrom = ({ answers, better, shown }: Turn, lane: number): Answer | undefined => {
  if (typeof better === 'number') return answers[better]
  if (better !== undefined) return answers[shown[0]]
  return answers[lane] ?? answers[0]
}

/** What a lane is asked at a turn: all before it as that lane has it. */
export const messagesAt = ({ system, turns }: Conversation, at: number, lane: number): Message[] => [
  ...(system.trim() ? [{ role: 'system' as const, content: system }] : []),
  ...turns.slice(0, at).flatMap((turn): Message[] => {
    const answer = goesOnFrom(turn, lane)
    return answer ? [user(turn.text), { role: 'assistant', content: answer.text }] : [user(turn.text)]
  }),
  user(turns[at].text),
]
const user = (content: string): Message => ({ role: 'user', content })

export const promptAt = (conversation: Conversation, at: number, lane: number): string | Message[] =>
  conversation.mode === 'chat' ? messagesAt(conversation, at, lane) : conversation.turns[at].text

export const requestFor = (conversation: Conversation, at: number, lane: number, prefix?: string): LaneRequest => {
  const { model } = conversation.turns[at].answers[lane]
  const asked = promptAt(conversation, at, lane)
  return {
    lane,
    model,
    ...(typeof asked === 'string' ? { prompt: asked } : { messages: asked }),
    ...(prefix && { prefix }),
  }
}

/** Whether all lanes of a turn were asked the same, so that their answers can be compared. */
export const isComparable = (conversation: Conversation, at: number): boolean => {
  const { answers } = conversation.turns[at]
  const asked = answers.map((_, lane) => JSON.stringify(promptAt(conversation, at, lane)))
  return answers.length > 1 && new Set(asked).size === 1
}

export const isDone = ({ answers }: Turn) => answers.every(({ state }) => state === 'done')

/** Whether a choice can be made now: all have ended, two or more have answered, to one prompt. */
export const canChoose = (conversation: Conversation, at: number): boolean => {
  const turn = conversation.turns[at]
  return isDone(turn) && turn.answers.filter(({ text }) => text !== '').length > 1 && isComparable(conversation, at)
}

/** The order of the screen: as the lanes stand, or mixed. */
export const shownOrder = (lanes: number, blind: boolean, random = Math.random): number[] => {
  const order = Array.from({ length: lanes }, (_, lane) => lane)
  if (blind)
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1))
      ;[order[i], order[j]] = [order[j], order[i]]
    }
  return order
}

/** For narrow places: of a path its end, of a checkpoint its run and step, of an address the model's name or the host. */
export const shortName = (model: string): string => {
  const checkpoint = /([^/\\]+)[/\\]checkpoints[/\\]step-(\d+)$/.exec(model)
  if (checkpoint) return `${checkpoint[1]}, step ${checkpoint[2]}`
  if (URL.canParse(model) && /^https?:/i.test(model)) return new URL(model).hash.slice(1) || new URL(model).host
  return model.split(/[/\\]/).findLast(Boolean) ?? model
}

export const letters = ['A', 'B', 'C', 'D'] as const

/** Names are hidden until the choice is made. */
export const isHidden = ({ blind }: Conversation, { better, answers }: Turn) =>
  blind && better === undefined && answers.length > 1

export const newAnswer = (model: string, now: number): Answer => ({
  model,
  text: '',
  tokens: [],
  state: 'waiting',
  times: { asked: now },
  scores: {},
})

/** Up to a token, with another one in its place: what the answer is to go on from. Undefined for a part of a character. */
export const withAlternative = (answer: Answer, index: number, alternative: string): Answer | undefined => {
  if (isPartOfCharacter(alternative)) return undefined
  const { at, tops } = answer.tokens[index]
  const logp = tops.find(({ text }) => text === alternative)?.logp ?? answer.tokens[index].logp
  return {
    ...answer,
    text: answer.text.slice(0, at) + alternative,
    tokens: [...answer.tokens.slice(0, index), { at, text: alternative, logp, tops }],
    scores: {},
  }
}

/** As servers write a token that is no text by itself: bytes:\xe2\x82 */
export const isPartOfCharacter = (token: string) =>
  /^bytes:(\\x[0-9a-f]{2})+$/.test(token) || token.startsWith('token_id:')

/** What is new of an answer, put at its end. `base`: the length of what the answer began with. */
export const extended = (
  answer: Answer,
  { text, tokens }: { text: string; tokens: readonly AnswerToken[] },
  base: number,
  now: number,
): Answer => ({
  ...answer,
  state: 'writing',
  text: answer.text + text,
  tokens: tokens.length
    ? [...answer.tokens, ...tokens.map((token) => ({ ...token, at: token.at + base }))]
    : answer.tokens,
  times: { ...answer.times, first: answer.times.first ?? now, last: now },
})

export const tokensPerSecond = ({ tokens, times: { first, last } }: Answer): number | undefined =>
  first === undefined || last === undefined || last - first < 200 || tokens.length < 2
    ? undefined
    : ((tokens.length - 1) * 1000) / (last - first)

export const titleOf = ({ turns }: Conversation): string =>
  turns[0]?.text.replaceAll(/\s+/g, ' ').slice(0, 80) || 'Nothing said yet'

/** Rows as every command reads them: a conversation or a completion of each model. */
export const rowsOf = (conversation: Conversation): object[] => {
  const { mode, turns } = conversation
  if (mode === 'text')
    return turns.flatMap(({ text, answers }) =>
      answers.filter(isWritten).map(({ model, text: completion }) => ({ prompt: text, completion, model })),
    )
  const last = turns.length - 1
  return last < 0
    ? []
    : turns[last].answers.flatMap((answer, lane) =>
        isWritten(answer)
          ? {
              messages: [...messagesAt(conversation, last, lane), { role: 'assistant', content: answer.text }],
              model: answer.model,
            }
          : [],
      )
}
const isWritten = ({ text }: Answer) => text !== ''

/** What is kept of a conversation: probabilities of tokens are large and are left out, and what was under way has ended. */
export const toKeep = (conversation: Conversation): Conversation => ({
  ...conversation,
  turns: conversation.turns.map((turn) => ({
    ...turn,
    answers: turn.answers.map((answer) => ({
      ...answer,
      tokens: [],
      ...(answer.state !== 'done' && { state: 'done' as const, finish: 'stopped' as const }),
    })),
  })),
})
