/** The text that a model is calibrated on (calibrate.ts): it must not change, since the forms of all checkpoints follow from it. */

/** A few hundred tokens in English: prose, a conversation, numbers, code, a list. */
export const calibrationText = `The harbour was quiet when the last ferry came in. Two men tied the ropes, and a woman with a suitcase walked slowly up the stairs to the road, where nobody was waiting for her. She had not been here for eleven years. The bakery was still open, but the old cinema had become a supermarket, and the river smelled of rain.

User: My neighbour's dog barks all night and I can't sleep. What should I do?
Assistant: I'm sorry to hear that! First, talk to your neighbour; they may not know about it. If that doesn't help, write down when it happens, and ask the city council. Please don't do anything that could hurt the animal.
User: ok thanks. and what if he just laughs at me??
Assistant: Then stay calm, and repeat what you need: "I have to get up at 6:30, and I would like to find a solution with you."

In 2019 the company sold 48,250 bicycles for $12.7 million, 18.4% more than in 2018. Its costs rose from $3,961,000 to $4,505,512, so that the profit was about 0.65 of the plan (see Table 3, pp. 112-119).

def average(values, weights=None):
    """Return the weighted mean of a list."""
    if weights is None:
        weights = [1.0] * len(values)
    total = sum(v * w for v, w in zip(values, weights))
    return total / sum(weights)  # fails for an empty list

Photosynthesis is the process by which plants, algae and some bacteria turn light, water and carbon dioxide into sugar and oxygen. It has two stages:
1. Light is absorbed by chlorophyll, and water is split.
2. In the Calvin cycle, the energy is used to build glucose (C6H12O6).

"Why, of course!" cried the king, "but who has stolen my crown?" Nobody answered. <p class="note">Es war einmal, il était une fois: every language begins its stories in its own way.</p>`
