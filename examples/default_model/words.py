"""What stories are made of: tables of names, creatures, places, wishes and so on.

In every text `{field}` stands for something that the story knows and `[a|b]` for either of two.
"""


def listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIRLS = listed(
    "Mira Lena Rosa Ida Nora Tilda Wanda Luna Ella Greta Pia Olga Fern Hazel Juna Kaya Mona Sina "
    "Vera Zoe Anna Bella Clara Dora Emmy Flora"
)
BOYS = listed(
    "Bruno Otto Max Felix Hugo Timo Jasper Rufus Oskar Pip Anton Emil Finn Gustav Henry Ivo Jonas "
    "Karl Leo Milo Nils Paul Ralf Sam Tom Victor"
)

ANIMALS = listed(
    "fox bear hare mouse owl badger otter hedgehog frog cat dog goose crow squirrel goat donkey "
    "turtle sparrow wolf deer beaver duck mole snail dragon lamb pig penguin elephant lion tiger "
    "zebra monkey horse cow parrot whale dolphin fish bee butterfly ant spider rabbit camel "
    "kangaroo panda snake dinosaur unicorn hen seal ladybird stork"
)
PEOPLE = listed(
    "baker miller fisher painter gardener sailor shepherd tailor weaver potter cook carpenter "
    "knight clockmaker robot giant pirate monster ghost doctor teacher farmer dwarf musician"
)
KINDS = (*ANIMALS, *PEOPLE)
GIRL_KINDS = listed("girl princess queen witch fairy mermaid")
BOY_KINDS = listed("boy prince king wizard")

TRAITS = listed(
    "little young curious shy cheerful quiet clever kind brave dreamy gentle lively careful hungry "
    "sleepy funny"
)
OLD_TRAITS = listed("old wise tiny big grey friendly tired round thin strange")

COLOURS = listed("red blue green yellow golden silver white black purple orange pink brown")

THINGS = listed(
    "lantern kite boat bell hat scarf drum flute key book lamp cup ring umbrella blanket ball map "
    "basket coat ribbon clock whistle box violin spoon mirror button wagon pebble feather"
)

FOODS = listed("bread soup cake apples honey cheese pancakes nuts berries porridge cookies pears")

# name: where it is, where one lives there, what one does there, a road, what one hears or sees
PLACES = {
    "the sea": (
        "by the sea",
        "in a [small|little] house by the sea",
        "walked along the beach and counted the shells",
        "along the beach",
        "The waves [whispered|sang] and the gulls [called|cried].",
    ),
    "the forest": (
        "in the forest",
        "under an old oak in the forest",
        "looked for mushrooms under the trees",
        "between the tall trees",
        "The leaves rustled and the [birds|cuckoo] sang.",
    ),
    "the mountains": (
        "in the mountains",
        "in a hut high up in the mountains",
        "watched the clouds over the peaks",
        "up the stony path",
        "The air was clear, and far below the bells of the sheep were ringing.",
    ),
    "the village": (
        "in the village",
        "in the last house of a [small|quiet] village",
        "swept the steps and greeted the neighbours",
        "down the village street",
        "Smoke rose from the chimneys and [a dog barked|the hens clucked].",
    ),
    "the river": (
        "by the river",
        "beside a [wide|winding] river",
        "sat on the bank and looked at the fish",
        "along the river",
        "The water glittered and the reeds were [nodding|swaying].",
    ),
    "the desert": (
        "in the desert",
        "in a tent in the desert",
        "drew pictures in the sand",
        "across the dunes",
        "The sand was warm, and [nothing moved|it was very still].",
    ),
    "the island": (
        "on the island",
        "on a [small|lonely] island",
        "waved to the ships that passed",
        "along the shore",
        "The palm trees [swayed|nodded], and the water was blue on every side.",
    ),
    "the city": (
        "in the city",
        "under the roof of a tall house in the city",
        "looked down at the busy streets",
        "through the narrow streets",
        "The trams rang, and everybody was in a hurry.",
    ),
    "the castle": (
        "in the castle",
        "in the tower of a castle",
        "climbed the hundred steps of the tower",
        "through the long halls",
        "The flags fluttered and the old doors creaked.",
    ),
    "the lake": (
        "by the lake",
        "in a hut of reeds by the lake",
        "threw pebbles into the still water",
        "around the lake",
        "Dragonflies danced over the [lilies|water].",
    ),
    "the garden": (
        "in the garden",
        "in a [big|wild] garden behind a wall",
        "watered the roses and talked to the bees",
        "between the flower beds",
        "It smelled of [roses|mint], and the bees hummed.",
    ),
    "the meadow": (
        "in the meadow",
        "at the edge of a [green|sunny] meadow",
        "lay in the grass and listened to the crickets",
        "through the high grass",
        "The crickets chirped and the poppies [glowed|shone].",
    ),
    "the valley": (
        "in the valley",
        "in a [deep|green] valley",
        "called to the hills and waited for the echo",
        "down into the valley",
        "The hills stood all around like [sleeping giants|old friends].",
    ),
    "the snow": (
        "in the snow",
        "in a snowy land where the nights are long",
        "drew tracks in the fresh snow",
        "over the frozen fields",
        "The snow sparkled and [every step crunched|the icicles shone].",
    ),
    "the mill": (
        "at the mill",
        "in an old mill",
        "listened to the big wheel and hummed along",
        "along the mill stream",
        "The wheel turned and turned, and the flour [flew|fell] like snow.",
    ),
    "the farm": (
        "on the farm",
        "in the barn of a farm",
        "said good morning to all the cows",
        "across the fields",
        "The hens clucked, and it smelled of hay.",
    ),
    "the moon": (
        "on the moon",
        "in a round house on the moon",
        "jumped from crater to crater",
        "over the silver hills",
        "The earth hung in the sky like a blue lamp.",
    ),
    "the lighthouse": (
        "in the lighthouse",
        "at the top of a lighthouse",
        "polished the great lamp until it shone",
        "down the winding stairs",
        "The light went round and round over the dark water.",
    ),
}

WEATHERS = listed("sunny rainy windy foggy stormy cold warm snowy frosty cloudy")
TIMES = ("morning", "morning", "afternoon", "evening")

# what one can wish to do, once one can, and what is proof of it
SKILLS = (
    ("sing", "could sing", "{She} sang so sweetly that even the wind stopped to listen"),
    ("dance", "could dance", "{She} danced until the stars came out"),
    ("swim", "could swim", "{She} swam right to the other shore and back"),
    ("fly", "could fly", "{She} flew once around the church tower"),
    ("read", "could read", "{She} read every book that {she} could find, and some of them twice"),
    ("bake a cake", "could bake a cake", "The whole neighbourhood smelled of it"),
    ("paint", "could paint", "{She} painted the sky on the walls of {her} room"),
    ("whistle", "could whistle", "{She} whistled so loudly that the cows turned round"),
    ("juggle", "could juggle", "{She} juggled five apples and dropped only one"),
    ("play the drum", "could play the drum", "Nobody slept that night, and nobody minded"),
    ("tell jokes", "could tell jokes", "Even the old stones seemed to laugh"),
    ("count to a hundred", "could count to a hundred", "{She} counted the stars, and began again"),
    ("climb trees", "could climb trees", "{She} sat in the highest branch and saw the whole world"),
    ("skate", "could skate", "{She} skated in circles until the whole lake glittered"),
    ("write poems", "could write poems", "{She} wrote one about snow, and it made people warm"),
    ("talk to birds", "could talk to birds", "The sparrows told {him} all their secrets"),
    ("cook soup", "could cook soup", "Everybody wanted a second bowl, and then a third"),
    ("sail a boat", "could sail a boat", "{She} sailed away at dawn and came back with the moon"),
)

# what is in the way, why, what one asks, and how a helper gets one past it
OBSTACLES = (
    (
        "a deep river",
        "There was no bridge, and the water was [cold|fast]",
        "get across",
        "{helper} knew where the big stones lay, and together they hopped across",
    ),
    (
        "a high wall",
        "It had no door, and it was too smooth to climb",
        "get over it",
        "{helper} showed {him} a hole behind the ivy, and they crept through",
    ),
    (
        "a thick fog",
        "{She} could not even see {her} own feet",
        "find the way",
        "{helper} hummed a song and walked ahead, and {name} followed the sound",
    ),
    (
        "a locked gate",
        "It was made of iron, and nobody answered",
        "open it",
        "{helper} pulled a rusty key out of the grass, and the gate swung open",
    ),
    (
        "a dark cave",
        "It was as black as ink inside",
        "get through",
        "{helper} lit a candle, and side by side they walked through",
    ),
    (
        "a hedge of thorns",
        "The thorns were as long as needles",
        "get through",
        "{helper} held the thorns apart, and {name} slipped through",
    ),
    (
        "a broken bridge",
        "Only two planks were left, and they wobbled",
        "get across",
        "{helper} fetched a long plank, and together they mended the bridge",
    ),
    (
        "a steep hill",
        "{She} took three steps up and slid four steps down",
        "get to the top",
        "{helper} tied a rope to a tree, and so they climbed up together",
    ),
    (
        "a sleeping bear",
        "He lay right across the path and snored",
        "get past",
        "{helper} told the bear a story in his ear, and he smiled and rolled aside",
    ),
    (
        "a crossroads with no sign",
        "Four roads went off, and they all looked the same",
        "know which way to go",
        "{helper} sniffed at all four roads and pointed at the third",
    ),
)

# what a helper lacks, asks for, and is given
NEEDS = (
    ("hungry", "have you something to eat", "shared {her} {food} with {helper}"),
    ("thirsty", "have you a drink of water", "gave {helper} a drink of water"),
    ("cold", "may I warm myself", "put {her} coat around {helper}"),
    ("tired", "may I lean on you", "carried the heavy bag for {helper}"),
    ("lonely", "will you talk to me", "sat down and talked with {helper}"),
    ("stuck in the mud", "will you pull me out", "pulled {helper} out with all {her} strength"),
    ("sad", "can you make me laugh", "made funny faces until {helper} laughed"),
    ("lost", "do you know the way home", "showed {helper} the way home"),
)

# what one can be afraid of, what happens there, what one does
FEARS = (
    (
        "the dark",
        "One night all the lamps went out, and a small voice cried for help outside",
        "walked out into the dark, step by step, and followed the voice",
        "had lost the way",
    ),
    (
        "thunder",
        "One night there was a great storm, and somebody knocked at the door",
        "ran through the thunder and the rain to open the gate",
        "was wet and shivering",
    ),
    (
        "deep water",
        "One day {name} heard a splash and a cry for help",
        "jumped into the deep water and swam as well as {she} could",
        "had fallen in",
    ),
    (
        "high places",
        "One day somebody called for help from the top of the tallest tree",
        "climbed up, branch by branch, and did not look down",
        "was stuck up there",
    ),
    (
        "strangers",
        "One day a stranger stood at the fence and wept",
        "took a deep breath, went to the fence and said hello",
        "had no place to sleep",
    ),
    (
        "the old bridge",
        "One day somebody called for help from the other side of the old bridge",
        "walked over the creaking planks, one after the other",
        "had hurt a foot",
    ),
    (
        "shadows",
        "One evening a big shadow fell on the wall, and somebody sobbed",
        "took a candle and walked right up to the shadow",
        "was only looking for a friend",
    ),
)

RIDDLES = (
    ("What has teeth but cannot bite", "A comb"),
    ("What has hands but cannot clap", "A clock"),
    ("What gets wet when it dries", "A towel"),
    ("What has a neck but no head", "A bottle"),
    ("What goes up and never comes down", "Your age"),
    ("What runs but has no legs", "A river"),
    ("What has one eye but cannot see", "A needle"),
    ("What is broken when you say its name", "Silence"),
    ("What follows you all day and sleeps at night", "Your shadow"),
    ("What is full of holes and still holds water", "A sponge"),
)

# where something lost is found
HIDING = (
    "under the bed",
    "in a hollow tree",
    "behind the well",
    "in a crow's nest",
    "at the bottom of a basket",
    "under a heap of leaves",
    "between two stones",
    "on top of the cupboard",
)

SYSTEMS = (
    "You are a storyteller.",
    "You are a friendly storyteller for children.",
    "You are a helpful assistant.",
    "You tell stories and answer questions about them.",
)
SHORT_SYSTEMS = (
    "Keep your stories short.",
    "You are a storyteller. Tell short stories.",
    "Tell very short stories.",
)
