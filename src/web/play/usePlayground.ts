/** State and actions of the playground. What comes from the models is put into the state once per frame of the screen. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import type {
  AnswerScore,
  NewPreference,
  OpenModel,
  SavedPreference,
  Scorer,
  TurnEvent,
} from '../../studio/play/api.ts'
import { newRequestId, post } from '../api.ts'
import {
  type Answer,
  type Conversation,
  canChoose,
  extended,
  newAnswer,
  newConversation,
  promptAt,
  requestFor,
  shownOrder,
  type Turn,
  withAlternative,
} from './conversation.ts'
import { keepConversation, keepSettings, keptSettings } from './kept.ts'
import { defaultSettings, type Settings } from './settings.ts'
import { postForEvents } from './stream.ts'

type Fresh = { text: string; tokens: NonNullable<TurnEvent['tokens']>; end?: TurnEvent['end']; error?: string }

export type Playground = ReturnType<typeof usePlayground>

/** @param fail shows an error to the user */
export const usePlayground = (fail: (error: unknown) => void) => {
  const [settings, setSettings] = useState<Settings>(() => keptSettings(defaultSettings))
  const [conversation, setConversation] = useState<Conversation>(() =>
    newConversation({ mode: 'chat', system: '', blind: false }),
  )
  const [running, setRunning] = useState<string>()
  /** The state as the next action must see it, before it is drawn. */
  const now = useRef({ conversation, settings })
  now.current.settings = settings

  const change = useCallback((make: (before: Conversation) => Conversation) => {
    now.current.conversation = make(now.current.conversation)
    setConversation(now.current.conversation)
  }, [])
  const changeTurn = useCallback(
    (id: string, make: (turn: Turn) => Turn) =>
      change((before) => ({ ...before, turns: before.turns.map((turn) => (turn.id === id ? make(turn) : turn)) })),
    [change],
  )
  const changeAnswers = useCallback(
    (id: string, make: (answer: Answer, lane: number) => Answer) =>
      changeTurn(id, (turn) => ({ ...turn, answers: turn.answers.map(make) })),
    [changeTurn],
  )

  useEffect(() => void keepSettings(settings), [settings])

  const changeSettings = useCallback((to: Partial<Settings>) => setSettings((before) => ({ ...before, ...to })), [])

  /** Asks the reward model and the judge, where there are any, for each answer that has none of their scores. */
  const score = useCallback(
    async (id: string) => {
      const { conversation, settings } = now.current
      const at = conversation.turns.findIndex((turn) => turn.id === id)
      if (at < 0) return
      const ask = async (kind: Scorer['kind']) => {
        const model = settings.scorers[kind]
        if (!model) return
        const lanes = conversation.turns[at].answers.flatMap(({ text, state, scores }, lane) =>
          text && state === 'done' && scores[kind] === undefined ? lane : [],
        )
        // Lanes with the same past are scored together
        const prompts = lanes.map((lane) => JSON.stringify(promptAt(conversation, at, lane)))
        for (const prompt of new Set(prompts)) {
          const group = lanes.filter((_, i) => prompts[i] === prompt)
          const answers = group.map((lane) => conversation.turns[at].answers[lane].text)
          const scores = await post<AnswerScore[]>('/play/score', {
            scorer: { kind, model },
            prompt: JSON.parse(prompt),
            answers,
          }).catch((error: Error): AnswerScore[] => group.map(() => ({ error: error.message })))
          changeAnswers(id, (answer, lane) => {
            const k = group.indexOf(lane)
            // It may have been written anew since
            if (k < 0 || answer.text !== answers[k]) return answer
            return { ...answer, scores: { ...answer.scores, [kind]: scores[k] } }
          })
        }
      }
      await Promise.all([ask('reward'), ask('judge')])
      keepConversation(now.current.conversation)
    },
    [changeAnswers],
  )

  /** Asks lanes of a turn for their answers. @param prefixes what answers begin with, by lane */
  const ask = useCallback(
    async (id: string, lanes: readonly number[], seed: number, prefixes: ReadonlyMap<number, string> = new Map()) => {
      const at = now.current.conversation.turns.findIndex((turn) => turn.id === id)
      const request = {
        turn: id,
        sampling: { ...now.current.settings.sampling, seed },
        lanes: lanes.map((lane) => requestFor(now.current.conversation, at, lane, prefixes.get(lane))),
      }
      setRunning(id)
      let fresh = new Map<number, Fresh>()
      let frame = 0
      const draw = () => {
        frame = 0
        const drawn = fresh
        fresh = new Map()
        const time = performance.now()
        changeAnswers(id, (answer, lane) => {
          const news = drawn.get(lane)
          if (!news) return answer
          const longer =
            news.text || news.tokens.length ? extended(answer, news, prefixes.get(lane)?.length ?? 0, time) : answer
          if (news.error !== undefined) return { ...longer, state: 'done', error: news.error }
          return news.end ? { ...longer, state: 'done', finish: news.end.finish } : longer
        })
      }
      const take = ({ lane, text = '', tokens = [], end, error }: TurnEvent) => {
        const before = fresh.get(lane) ?? { text: '', tokens: [] }
        fresh.set(lane, {
          text: before.text + text,
          tokens: tokens.length ? [...before.tokens, ...tokens] : before.tokens,
          end: end ?? before.end,
          error: error ?? before.error,
        })
        frame ||= requestAnimationFrame(draw)
      }
      try {
        const models = [...new Set(request.lanes.map(({ model }) => model))]
        await Promise.all(models.map((model) => post<OpenModel>('/play/open', { model })))
        await postForEvents<TurnEvent>('/play/turn', request, take, new AbortController().signal)
      } catch (error) {
        for (const lane of lanes) take({ lane, error: error instanceof Error ? error.message : String(error) })
      }
      cancelAnimationFrame(frame)
      draw()
      // A server that was stopped ends its stream without a word
      changeAnswers(id, (answer, lane) =>
        lanes.includes(lane) && answer.state !== 'done' ? { ...answer, state: 'done', finish: 'stopped' } : answer,
      )
      setRunning((current) => (current === id ? undefined : current))
      keepConversation(now.current.conversation)
      void score(id)
    },
    [changeAnswers, score],
  )

  const actions = useMemo(() => {
    const laneNumbers = ({ answers }: Turn) => answers.map((_, lane) => lane)
    const turnOf = (id: string) => now.current.conversation.turns.find((turn) => turn.id === id)!
    return {
      send(text: string) {
        const { settings, conversation } = now.current
        const models = settings.lanes.filter(Boolean)
        const { seed } = settings.sampling
        const turn: Turn = {
          id: newRequestId(),
          text,
          seed,
          answers: models.map((model) => newAnswer(model, performance.now())),
          shown: shownOrder(models.length, conversation.blind),
        }
        change((before) => ({ ...before, turns: [...before.turns, turn] }))
        void ask(turn.id, laneNumbers(turn), seed)
      },
      /** With the next seed: all answers of a turn, so that they still share one, or one of them. */
      regenerate(id: string, lane?: number) {
        const lanes = lane === undefined ? laneNumbers(turnOf(id)) : [lane]
        const seed = turnOf(id).seed + 1
        changeTurn(id, (turn) => ({
          ...turn,
          seed,
          better: undefined,
          saved: undefined,
          shown: now.current.conversation.blind && lane === undefined ? shownOrder(lanes.length, true) : turn.shown,
          answers: turn.answers.map((answer, k) =>
            lanes.includes(k) ? newAnswer(answer.model, performance.now()) : answer,
          ),
        }))
        void ask(id, lanes, seed)
      },
      /** Goes on from what there is of an answer, or from a token of it that another one takes the place of. */
      goOn(id: string, lane: number, from?: { index: number; token: string }) {
        const turn = turnOf(id)
        const answer = turn.answers[lane]
        const begun = from ? withAlternative(answer, from.index, from.token) : answer
        if (!begun) return
        changeTurn(id, (before) => ({ ...before, better: undefined, saved: undefined }))
        changeAnswers(id, (each, k) =>
          k === lane
            ? {
                ...begun,
                state: 'waiting',
                finish: undefined,
                error: undefined,
                scores: {},
                times: { asked: performance.now() },
              }
            : each,
        )
        void ask(id, [lane], turn.seed, new Map([[lane, begun.text]]))
      },
      stop(id: string, lane?: number) {
        void post('/play/stop', { turn: id, lane }).catch(fail)
      },
      async choose(id: string, better: NonNullable<Turn['better']>) {
        const { conversation } = now.current
        const at = conversation.turns.findIndex((turn) => turn.id === id)
        if (!canChoose(conversation, at)) return undefined
        const turn = conversation.turns[at]
        const ended = Math.max(...turn.answers.map(({ times }) => times.last ?? times.asked))
        const before = turn.better
        // Lanes that failed have said nothing that could be compared
        const lanes = laneNumbers(turn).filter((lane) => turn.answers[lane].text !== '')
        const numberOf = (lane: number) => lanes.indexOf(lane)
        changeTurn(id, (each) => ({ ...each, better }))
        try {
          const preference: NewPreference = {
            requestId: newRequestId(),
            prompt: promptAt(conversation, at, 0),
            answers: lanes.map((lane) => ({ text: turn.answers[lane].text, model: turn.answers[lane].model })),
            shown: turn.shown.filter((lane) => lanes.includes(lane)).map(numberOf),
            better: typeof better === 'number' ? numberOf(better) : better,
            seconds: Math.min(86_400, Math.max(0, (performance.now() - ended) / 1000)),
          }
          const saved = await post<SavedPreference>('/play/preference', preference)
          changeTurn(id, (each) => ({ ...each, saved }))
          keepConversation(now.current.conversation)
          return saved
        } catch (error) {
          changeTurn(id, (each) => ({ ...each, better: before }))
          fail(error)
          return undefined
        }
      },
      /** A new conversation with the same models. */
      begin(to: Partial<Pick<Conversation, 'mode' | 'system' | 'blind'>> = {}) {
        keepConversation(now.current.conversation)
        change((before) => newConversation({ ...before, ...to }))
      },
      set(to: Partial<Pick<Conversation, 'system' | 'blind'>>) {
        change((before) => ({ ...before, ...to }))
      },
      restore(kept: Conversation) {
        keepConversation(now.current.conversation)
        change(() => kept)
      },
    }
  }, [ask, change, changeAnswers, changeTurn, fail])

  return { settings, changeSettings, conversation, running, ...actions }
}
